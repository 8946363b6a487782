"""``pilot dev --debug PORT``: an editor's debugger in the workers' processes, by debugpy.

Theory of operation
-------------------
A reload is a new process, and an editor attaches to a port. debugpy's adapter, which listens there, knows sessions of a
process and of those that it has begun: of each of the latter it tells the editor, which attaches to it too and sets its
breakpoints there. So a process that does nothing (``root``) stands for the worker, as long as ``pilot dev`` does, and
each isolate says that it is a child of that one: those that run once an editor attaches, and new ones before they
import the worker. As long as no editor is attached nothing is traced.
"""
