"""A small world of documents, and the parts of requests that the tests share."""

from __future__ import annotations

SCHEMA = """
definition user {}

definition group {
	relation member: user | group#member
}

definition folder {
	relation parent: folder
	relation viewer: user | user:* | group#member
	permission view = viewer + parent->view
}

definition document {
	relation parent: folder
	relation owner: user
	relation viewer: user | user:* | group#member
	relation banned: user
	permission edit = owner
	permission view = (viewer + edit + parent->view) - banned
}

definition organization {
	relation member: user
	relation chosen_by: user
	permission session = member & chosen_by
}
"""

RELATIONSHIPS = (
    "group:eng#member@user:anne",
    "group:eng#member@group:leads#member",
    "group:leads#member@group:eng#member",  # a cycle
    "group:leads#member@user:lee",
    "folder:top#viewer@user:fay",
    "folder:sub#parent@folder:top",
    "folder:top#parent@folder:sub",  # a cycle
    "document:readme#viewer@group:eng#member",
    "document:readme#owner@user:olga",
    "document:readme#parent@folder:sub",
    "document:readme#banned@user:bob",
    "document:public#viewer@user:*",
    "document:public#banned@user:bob",
    "document:plan#viewer@user:anne",
    "organization:acme#member@user:anne",
)

CHECK = {"resource": "document:readme", "permission": "view", "subject": "user:anne"}
MAX_BODY_BYTES = 256 * 1024
SCOPES = ("check", "read", "write", "schema", "admin")
