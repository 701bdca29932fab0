"""What is done for runners and people who call: enrolment, secrets, access, terminals."""
