"""Several supervisors of one machine behind one port, where one is not enough: ``pilot host --fronts N``.

Theory of operation
-------------------
``pilot host`` itself is ``keeping`` then: it serves nothing, begins the fronts, begins those anew that end, and gives
each and the first the sockets between them. Each front has a socket of its own on the port (SO_REUSEPORT); the kernel
gives every connection to one of them.

The first front is the host as it is without others: it alone writes what is kept, runs what there may be one of
(objects, schedules, queues), and answers the host's own routes. Every other one is a ``follower``. Of each worker it
asks what its products say (``Product.fronts``): one that may run anywhere runs here too, and its bindings are opened
here (``each``), or called on the first front over ``runtime.wire`` (``calls``). A connection on which anything else is
asked for goes to the first front, socket and all (``runtime.host.links.handing``).

A change is made by the first front. Before it answers, every other one has followed, or was ended. So a client that is
told of a deploy finds it everywhere.
"""
