"""What processes are asked, in a task and without one."""
