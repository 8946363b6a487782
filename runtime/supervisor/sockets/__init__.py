"""WebSockets, which the supervisor holds.

Theory of operation
-------------------
A socket has two *ends* (``ends.End``) that are joined: what one has to say the other ``take``s. An end is a TCP
connection (``connection.Connection``; a client's, or one to another server) or a worker's process
(``worker_end.WorkerEnd``). Two connections that are joined to each other pass no process: that is a socket which a
worker has fetched and returned.

An end that cannot take more has the other one ``hold``: a client's connection is read no more. A worker cannot be held,
for its ``send`` does not wait: one whose client is slower than ``Quota`` allows loses the socket.
"""
