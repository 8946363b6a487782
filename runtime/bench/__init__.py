"""``pilot bench``: how fast a worker answers, alone or beside another server.

Theory of operation. The load is a process of its own (``generator``), one per measured window, so that neither this
process nor the server shares its clock or its garbage collector. A window opens all its connections, asks on all of
them at once, and asks again on each as soon as it was answered: N streams are always in flight. Every round goes
through all numbers of streams, and at each through all targets, back and forth, so that what else the machine does
falls on all alike; round 0 is the warm-up and thrown away. A figure is the median over the rounds, beside its lowest
and highest. Nothing here knows what a worker does: it loads over HTTP, and an answer is an event stream if it says so.
"""
