"""The machine that runs workers. It knows no product."""

VERSION = "0.1.0"  # read by the build; looking it up in the installed metadata would cost a start 15 ms
