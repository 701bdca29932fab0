"""``agentsmesh enroll create``: let one runner in."""

from argparse import Namespace

from cli import enrolment
from cli.api import Api
from cli.datadir import locate
from cli.errors import Usage
from cli.kubeconfig import load, paths


def create(arguments: Namespace) -> int:
    """Make a RunnerEnrollment and print its token, which cannot be had again."""
    organization = arguments.org or arguments.namespace
    if not organization:
        raise Usage("name the namespace of the organization that the runner is for: -n NS")
    directory = locate(arguments.data_dir)
    target = load(
        paths(arguments.kubeconfig, directory),
        context=arguments.context,
        token_file=arguments.token_file,
    )
    api = Api(target)
    doors = enrolment.doors(api, organization)  # first: without them the token is of no use
    ticket = enrolment.create(
        api,
        organization,
        arguments.name,
        ttl_seconds=arguments.ttl,
        replace=arguments.replace,
    )
    print(f"enrollment: {ticket.name} (valid {arguments.ttl} s, for one runner)")
    print(f"token: {ticket.token}")
    print(f"ca-pin: {doors.pin()}")
    print("On the runner's machine, with the token in a file of mode 0600:")
    print(
        f"  python -m runner --data-dir DIR --controller {doors.runners} --enroll {doors.enrolment}"
        f" --organization {organization} --name {arguments.name}"
        f" --join-token-file FILE --ca-pin {doors.pin()}"
    )
    return 0
