"""A world of organizations: `holding` above `acme` above `acme-eu`, and `globex`, which is apart.

Each has a group, folders and documents; teams and products are nobody's.
"""

from __future__ import annotations

SCHEMA = """
use expiration

caveat on_weekday(weekday int) { weekday < 6 }

definition user {}

definition team {
	relation member: user
}

definition product {
	relation subscriber: organization
	relation requested_by: user
	permission session = subscriber->session & requested_by
}

definition organization {
	relation parent: organization
	relation admin: user | group#member
	relation member: user | group#member
	relation chosen_by: user
	permission manage = admin + parent->manage
	permission session = (member + manage) & chosen_by
	permission belongs_to = parent + parent->belongs_to
}

definition group {
	relation organization: organization
	relation member: user | group#member | user with on_weekday
	permission belongs_to = organization + organization->belongs_to
}

definition folder {
	relation organization: organization
	relation above: folder
	relation viewer: user | user:* | group#member | group:* | team#member | group
	permission view = viewer + above->view + organization->manage
	permission belongs_to = organization + organization->belongs_to + above->belongs_to
}

definition document {
	relation folder: folder
	relation product: product
	relation owner: user | user with expiration
	relation banned: user
	permission view = (owner + folder->view) - banned
	permission sold = owner & product->session
	permission belongs_to = folder->belongs_to
}
"""

ACME = (
    "organization:acme#parent@organization:holding",
    "organization:acme#admin@user:ada",
    "organization:acme#member@group:acme-staff#member",
    "group:acme-staff#organization@organization:acme",
    "group:acme-staff#member@user:anne",
    "group:acme-staff#member@user:wes[on_weekday]",
    "folder:acme-top#organization@organization:acme",
    "folder:acme-top#viewer@group:acme-staff#member",
    "folder:acme-sub#above@folder:acme-top",
    "document:acme-plan#folder@folder:acme-sub",
    "document:acme-plan#owner@user:olga",
    "document:acme-plan#banned@user:wes",
    "document:acme-plan#product@product:wiki",
    "organization:acme-eu#parent@organization:acme",
    "folder:eu-top#organization@organization:acme-eu",
    "folder:eu-top#viewer@user:eve",
)

OTHERS = (
    "organization:holding#admin@user:hal",
    "folder:holding-top#organization@organization:holding",
    "folder:holding-top#viewer@user:hal",
    "product:wiki#subscriber@organization:acme",
    "product:wiki#subscriber@organization:globex",
    "team:shared#member@user:tim",
    "organization:globex#admin@user:gus",
    "organization:globex#member@user:anne",
    "group:globex-staff#organization@organization:globex",
    "group:globex-staff#member@user:gil",
    "folder:globex-top#organization@organization:globex",
    "folder:globex-top#viewer@group:globex-staff#member",
    "document:globex-plan#folder@folder:globex-top",
    "document:globex-plan#owner@user:olga",
)

RELATIONSHIPS = (*ACME, *OTHERS)
INSIDE = tuple(sorted(set(ACME) - {"organization:acme#parent@organization:holding"}))
"""The relationships that are wholly inside `acme`."""
