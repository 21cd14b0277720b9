"""Tasks that ask volume agents."""
