"""What compute and volume agents share: life on the bus, fencing, locks, files that survive a crash, ordered faults.

No database here: agents know what calls tell them and what is on their own machine.
"""
