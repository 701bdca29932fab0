"""The runner's end of the link: enrolment, certificate, and the stream of states."""
