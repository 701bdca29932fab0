"""Where the embedded server differs from the real one, on purpose, and why.

Scenario and label of the step. What stands here must really differ: the test sees to it.
"""

_APPLY = "server-side apply is not served yet, and so not named among what is taken"
_NEWER = "the text is that of 1.36; the recorded server of built-in kinds is 1.20"
_CLEAR = "a refusal that says what is wrong, where the real one answers 500"

DIFFERENCES: dict[tuple[str, str], str] = {
    ("server_side_apply", "apply"): _APPLY,
    ("json_patches", "strategic on custom"): _APPLY,
    ("bad_requests", "media type"): _APPLY,
    ("patches_that_are_none", "text"): _APPLY,
    ("roles_are_checked", "paths"): _NEWER,
    ("roles_are_checked", "other role"): _NEWER,
    ("reviews", "neither"): _NEWER,
    ("config_maps", "too large"): _NEWER,
    ("events", "with a time"): "1.36 calls the field of core/v1 by its name, 1.20 by the newer one",
    ("bodies_that_are_no_objects", "version set"): _CLEAR,
    ("names_and_namespaces_must_agree", "put text as version"): _CLEAR,
    ("versions_of_watches", "version"): _CLEAR,
    ("objects_have_a_size", "larger"): _CLEAR,
    ("objects_have_a_size", "grown by y"): _CLEAR,
    ("names_and_namespaces_must_agree", "put uid"): "the real one names its key in etcd",
    ("secrets", "ssh-auth"): "the real one names the field data[%s]",
    ("secrets", "basic-auth"): "the real one names the field data[%s]",
    ("pages", "bad token"): "the real one adds what its JSON parser says",
    ("bad_requests", "wrong version"): "the real one also warns of a field that is known",
    ("deletes_with_conditions", "there or not"): (
        "the real one deletes when a dry run is asked for in the query and there is a body"
    ),
    ("paths_that_lead_nowhere", "post on an object"): (
        "the real one ignores the name in the path and creates another object"
    ),
    ("answers_in_other_media_types", "nonsense"): "answers are not given as protobuf",
}
