"""The console proxy: browsers and programs reach guests' consoles through it."""
