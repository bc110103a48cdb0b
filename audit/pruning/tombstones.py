"""What stands in place of a removed prefix: a signed note that says which, by whose yes, and where it lies. Pure.

The format is docs/evidence.md. The first line keeps the statement apart from everything else that the log's key signs.
"""

from audit.tree.statements import Form

TOMBSTONE = Form(
    name="tombstone",
    header="kaireon tombstone v1",
    fields=frozenset(
        (
            "tenantId",
            "origin",
            "firstSeq",
            "lastSeq",
            "records",
            "rootHash",
            "lastIntegrityHash",
            "oldest",
            "newest",
            "policy",
            "approval",
            "archive",
            "prunedAt",
        )
    ),
)
text, parse = TOMBSTONE.text, TOMBSTONE.parse
