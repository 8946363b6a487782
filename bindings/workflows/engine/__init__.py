"""The supervisor's half of a workflow.

Theory of operation
-------------------
A *workflow* is a database (``store``): its instances, the steps each has begun, and the events that wait for one. That
is all there is of an instance. A process has only a *run* of it (``run``): the script's ``run(event, step)``, begun
from its first line. Each step asks here first. One that has ended is answered with what is kept, so the code comes to
where it was without doing anything again; any other is tried, and its result is on disk before the script has it.

So a run may be lost at any moment, and is let go whenever nothing but time or an event can bring it on: the row says
when it is due, and the ``engine`` begins it again then, in this process or in the next, with the code of that day. A
run that was lost is begun again as well; an attempt that it took along has failed.

What people ask for (pause, terminate ...) is written to the database, by whichever process, and the engine looks.
"""
