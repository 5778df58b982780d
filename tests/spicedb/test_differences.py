"""Where SpiceDB and Relata answer otherwise: each difference alone, with the reason.

SpiceDB's answer is pinned as well as ours, so that a version which changes it is noticed. Where
SpiceDB's own checks and lookups disagree, Relata follows the one that agrees with what SpiceDB
documents. `explained.py` recognises the same shapes in drawn worlds; each test says as which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from relata import Relata
from relata.errors import SchemaParseError, SchemaTypeError
from relata.relationships import (
    WILDCARD,
    CaveatRef,
    ObjectRef,
    Relationship,
    SubjectRef,
    create,
    parse_object,
    parse_relationship,
    parse_subject,
)
from relata.schema import compile_schema
from tests.spicedb import explained
from tests.spicedb.comparison import COMPARED, Comparison
from tests.spicedb.driver import SpiceDB
from tests.spicedb.questions import (
    CAVEAT,
    DEPTH,
    SELF_LOOKUP,
    Answered,
    Asked,
    Check,
    Expansion,
    FoundSubjects,
    Grant,
    Question,
    Refusal,
    Resources,
    Subjects,
)
from tests.spicedb.relata_answers import RelataAnswers
from tests.spicedb.scene import Scene

EXPIRED = "[expiration:2001-01-01T00:00:00Z]"
CAVEATS = """
caveat xx(x bool) { x }
caveat yy(y bool) { y }
caveat fails(z int) { 10 / z > 1 }
"""


class Sides:
    """A schema and relationships, in SpiceDB and in Relata."""

    def __init__(self, spicedb: SpiceDB, relata: RelataAnswers) -> None:
        self._spicedb = spicedb
        self._relata = relata

    def hold(self, schema: str, *relationships: str, objects: str = "", **context: Any) -> None:
        """Let both hold this; further objects are named as `user:a user:b`."""
        stored = tuple(map(parse_relationship, relationships))
        ends = {end for item in stored for end in (item.resource, item.subject.object)}
        named = (*map(parse_object, objects.split()), *(o for o in ends if o.id != WILDCARD))
        self._scene = Scene(schema, stored, context=context, objects=named)
        self._relata.enter(self._scene)
        self._comparison = Comparison(self._scene, self._relata)

    def spicedbs(self, question: Question) -> Any:
        """SpiceDB's answer."""
        asked = Asked(
            self._scene.schema,
            self._scene.relationships,
            self._scene.context,
            tuple(q for q in (question,) if isinstance(q, Check)),
            tuple(q for q in (question,) if isinstance(q, Resources)),
            tuple(q for q in (question,) if isinstance(q, Subjects)),
            tuple(q for q in (question,) if isinstance(q, Expansion)),
        )
        answered = self._spicedb.ask(asked)
        assert isinstance(answered, Answered), answered
        return answered.answers[0]

    def ours(self, question: Question) -> Any:
        """Relata's answer, which is the reference's."""
        ours = self._comparison.relatas(question)
        assert ours == self._comparison.right(question)
        return ours

    def tallied(self, asked: Asked, answered: Answered) -> Counter[str]:
        """As what the comparison knows several answers; none of them is a difference."""
        tally: Counter[str] = Counter()
        alone = self.spicedbs
        assert list(self._comparison.differences(asked, answered, tally, alone)) == []
        return tally

    def verdict(self, question: Question) -> str | None:
        """As what the comparison knows SpiceDB's answer."""
        return self._comparison.verdict(question, self.spicedbs(question))


@pytest.fixture
def sides(spicedb: SpiceDB, relata: RelataAnswers) -> Sides:
    """Both, holding nothing yet."""
    return Sides(spicedb, relata)


def check(text: str) -> Check:
    """A check as `doc:1#view@user:a`."""
    item = parse_relationship(text)
    return Check(item.resource, item.relation, item.subject)


def resources(type_: str, name: str, subject: str) -> Resources:
    """A lookup of resources."""
    return Resources(type_, name, parse_subject(subject))


def subjects(resource: str, name: str, type_: str, relation: str = "") -> Subjects:
    """A lookup of subjects."""
    return Subjects(parse_object(resource), name, type_, relation)


def missing(*names: str) -> frozenset[str]:
    """What a conditional answer waits for."""
    return frozenset(names)


class TestChecks:
    def test_a_wildcard_does_not_match_usersets(self, sides: Sides) -> None:
        """SpiceDB's check does not look at the subject's relation; its lookup of subjects does.

        `group:*` is documented as every group, and not as every member of every group.
        """
        sides.hold(
            """
            definition user {}
            definition group {
                relation member: user
            }
            definition doc {
                relation viewer: group:* | group#member
            }""",
            "doc:1#viewer@group:*",
            "group:g#member@user:a",
        )
        asked = check("doc:1#viewer@group:g#member")
        assert sides.spicedbs(asked) is True
        assert sides.ours(asked) is False
        assert sides.verdict(asked) == explained.READ_OTHERWISE
        listed = sides.spicedbs(subjects("doc:1", "viewer", "group", "member"))
        assert listed == FoundSubjects({}, {})

    def test_a_caveated_subject_beside_a_userset_of_its_type_is_found(self, sides: Sides) -> None:
        """SpiceDB's check counts the kinds of the type that have no caveat, takes as many kinds
        that can hold the subject to have none, and asks for relationships without one. Its lookups
        find the relationship."""
        sides.hold(
            CAVEATS
            + """
            definition user {
                relation friend: user
            }
            definition doc {
                relation viewer: user with xx | user#friend
            }""",
            "doc:1#viewer@user:a[xx]",
            x=True,
        )
        asked = check("doc:1#viewer@user:a")
        assert sides.spicedbs(asked) is False
        assert sides.ours(asked) is True
        assert sides.verdict(asked) == explained.READ_OTHERWISE
        assert sides.spicedbs(resources("doc", "viewer", "user:a")) == {"1": True}

    def test_an_expired_subject_beside_a_userset_of_its_type_is_gone(self, sides: Sides) -> None:
        """By the same count SpiceDB's check takes no kind to expire, and an expired relationship
        still grants. Its lookups leave it out."""
        sides.hold(
            """
            use expiration
            definition user {
                relation friend: user
            }
            definition doc {
                relation viewer: user with expiration | user#friend
            }""",
            f"doc:1#viewer@user:a{EXPIRED}",
        )
        asked = check("doc:1#viewer@user:a")
        assert sides.spicedbs(asked) is True
        assert sides.ours(asked) is False
        assert sides.verdict(asked) == explained.READ_OTHERWISE
        assert sides.spicedbs(resources("doc", "viewer", "user:a")) == {}

    def test_a_failed_caveat_that_does_not_matter_does_not_matter(self, sides: Sides) -> None:
        """SpiceDB evaluates one operand after another and stops with an error at the first that
        fails; of `+` and `&` the order is that of arrival, so that one question has two answers.
        Relata answers what is so whatever the failed caveat says."""
        sides.hold(
            CAVEATS
            + """
            definition user {}
            definition doc {
                relation good: user with xx
                relation bad: user with fails
                permission less = bad - good
                permission both = bad & good
            }""",
            "doc:1#good@user:a[xx]",
            "doc:1#bad@user:a[fails]",
            x=True,
            z=0,
        )
        asked = check("doc:1#less@user:a")
        assert sides.spicedbs(asked).kind == CAVEAT
        assert sides.ours(asked) is False
        assert sides.verdict(asked) == explained.CAVEAT_NOT_NEEDED
        needed = check("doc:1#both@user:a")
        assert sides.spicedbs(needed).kind == CAVEAT
        assert sides.ours(needed) is None
        assert sides.verdict(needed) == COMPARED

    def test_data_that_leads_back_to_itself_is_answered(self, sides: Sides) -> None:
        """SpiceDB gives up at a depth of fifty; the least solution is found all the same."""
        sides.hold(
            """
            definition user {}
            definition group {
                relation member: user | group#member
            }""",
            "group:a#member@group:b#member",
            "group:b#member@group:a#member",
            "group:b#member@user:a",
            objects="user:b",
        )
        asked = check("group:a#member@user:b")
        assert sides.spicedbs(asked).kind == DEPTH
        assert sides.ours(asked) is False
        assert sides.verdict(asked) == DEPTH
        found = subjects("group:a", "member", "user")
        assert sides.spicedbs(found).kind == DEPTH
        assert sides.ours(found) == {"a": True, "b": False, "*": False}

    def test_a_check_does_not_depend_on_those_beside_it(
        self, sides: Sides, spicedb: SpiceDB
    ) -> None:
        """Asked together, SpiceDB lets a caveat on the way to one resource count for another."""
        about = (
            CAVEATS
            + """
            definition user {}
            definition team {
                relation member: user
            }
            definition doc {
                relation team: team | team with xx
                permission view = team.all(member)
            }""",
            tuple(
                map(
                    parse_relationship,
                    ["doc:1#team@team:a[xx]", "doc:2#team@team:a", "team:a#member@user:a"],
                )
            ),
        )
        sides.hold(about[0], *map(str, about[1]), x=False)
        first, second = check("doc:1#view@user:a"), check("doc:2#view@user:a")
        asked = Asked(*about, {"x": False}, (first, second), (), (), ())
        together = spicedb.ask(asked)
        assert isinstance(together, Answered)
        assert together.answers == (False, False)
        assert [sides.spicedbs(it) for it in (first, second)] == [False, True]
        assert [sides.ours(it) for it in (first, second)] == [False, True]
        assert sides.tallied(asked, together) == {COMPARED: 1, explained.ALL_TOGETHER: 1}


class TestLookupsOfResources:
    def test_the_names_are_those_of_the_check(self, sides: Sides) -> None:
        """SpiceDB lists the resource once for each way to it, with the names of that way, of which
        here the caveat on the second relationship is left out."""
        sides.hold(
            CAVEATS
            + """
            definition user {}
            definition group {
                relation member: user | user with xx | user with yy
            }
            definition doc {
                relation viewer: group#member | group#member with yy
            }""",
            "group:a#member@user:a[xx]",
            "group:b#member@user:a[yy]",
            "doc:1#viewer@group:a#member[yy]",
            "doc:1#viewer@group:b#member",
        )
        asked = resources("doc", "viewer", "user:a")
        assert sides.spicedbs(asked) != {"1": missing("x", "y")}
        assert sides.ours(asked) == {"1": missing("x", "y")}
        assert sides.spicedbs(check("doc:1#viewer@user:a")) == missing("x", "y")
        assert sides.verdict(asked) == COMPARED  # by id alone

    def test_self_is_looked_up(self, sides: Sides) -> None:
        """SpiceDB reports a bug of its own where `self` meets an exclusion or intersection."""
        sides.hold(
            """
            use self
            definition user {
                relation blocked: user
                permission act = self - blocked
            }""",
            "user:a#blocked@user:b",
            "user:b#blocked@user:b",
        )
        asked = resources("user", "act", "user:a")
        assert sides.spicedbs(asked).kind == SELF_LOOKUP
        assert sides.ours(asked) == {"a": True}
        assert sides.verdict(asked) == SELF_LOOKUP
        assert sides.spicedbs(check("user:a#act@user:a")) is True

    def test_what_an_exclusion_makes_conditional_is_listed(self, sides: Sides) -> None:
        """SpiceDB finds the resource by its base, then takes the base for granted on both sides."""
        sides.hold(
            CAVEATS
            + """
            definition user {}
            definition doc {
                relation viewer: user with xx
                relation editor: user
                permission view = viewer - seen
                permission seen = viewer + editor
            }""",
            "doc:1#viewer@user:a[xx]",
        )
        asked = resources("doc", "view", "user:a")
        assert sides.spicedbs(asked) == {}
        assert sides.ours(asked) == {"1": missing("x")}
        assert sides.verdict(asked) == explained.EXCLUSION_LOSES
        assert sides.spicedbs(check("doc:1#view@user:a")) == missing("x")

    def test_what_an_intersection_makes_conditional_is_not_granted(self, sides: Sides) -> None:
        """SpiceDB lists the resource as allowed, which its check says waits for context."""
        sides.hold(
            CAVEATS
            + """
            definition user {
                relation all_of: user#any
                relation some: user with yy | user:*
                permission any = all_of + some
                permission act = any & all_of
            }""",
            "user:1#all_of@user:2#any",
            "user:2#some@user:a[yy]",
            "user:1#some@user:*",
        )
        asked = resources("user", "act", "user:a")
        assert sides.spicedbs(asked) == {"1": True}
        assert sides.ours(asked) == {"1": missing("y")}
        assert sides.verdict(asked) == explained.INTERSECTION_GRANTS
        assert sides.spicedbs(check("user:1#act@user:a")) == missing("y")

    def test_what_comes_by_all_is_listed_as_it_is(self, sides: Sides) -> None:
        """SpiceDB lets a caveat on the way to one resource count for another that is beside it, and
        loses everything where the same relation is walked by `->` further down."""
        sides.hold(
            CAVEATS
            + """
            definition user {}
            definition team {
                relation member: user
                relation parent: team
                permission whole = parent.all(under)
                permission under = parent->under + member
            }
            definition doc {
                relation team: team | team with xx
                permission view = team.all(member)
            }""",
            "doc:1#team@team:a[xx]",
            "doc:2#team@team:a",
            "team:a#member@user:a",
            "team:b#parent@team:a",
        )
        asked = resources("doc", "view", "user:a")
        assert sides.spicedbs(asked) == {"1": missing("x"), "2": missing("x")}
        assert sides.ours(asked) == {"1": missing("x"), "2": True}
        assert sides.verdict(asked) == explained.ALL_LOSES
        assert sides.spicedbs(check("doc:2#view@user:a")) is True
        beside = resources("team", "whole", "user:a")
        assert sides.spicedbs(beside) == {}
        assert sides.ours(beside) == {"b": True}
        assert sides.verdict(beside) == explained.ALL_LOSES
        assert sides.spicedbs(check("team:b#whole@user:a")) is True

    def test_a_failed_caveat_on_a_way_that_is_not_needed_does_not_matter(
        self, sides: Sides
    ) -> None:
        """SpiceDB's lookup fails with the first caveat that fails, though its check of the one
        resource that rests on it has an answer."""
        sides.hold(
            CAVEATS
            + """
            definition user {}
            definition doc {
                relation good: user
                relation bad: user with fails
                permission view = good + bad
            }""",
            "doc:1#good@user:a",
            "doc:1#bad@user:a[fails]",
            z=0,
        )
        asked = resources("doc", "view", "user:a")
        assert sides.spicedbs(check("doc:1#view@user:a")) is True
        assert sides.ours(asked) == {"1": True}
        found = sides.spicedbs(asked)
        assert found == {"1": True} or found.kind == CAVEAT
        assert sides.verdict(asked) in {COMPARED, explained.CAVEAT_NOT_NEEDED}


class TestLookupsOfSubjects:
    def test_all_needs_the_target_everywhere(self, sides: Sides) -> None:
        """An object that does not have the target has no members, so `.all()` has none. SpiceDB's
        check says so; its lookup of subjects skips the object."""
        sides.hold(
            """
            definition user {}
            definition bot {}
            definition team {
                relation member: user
            }
            definition doc {
                relation owner: team | bot
                permission view = owner.all(member)
            }""",
            "doc:1#owner@team:a",
            "doc:1#owner@bot:b",
            "team:a#member@user:a",
        )
        asked = subjects("doc:1", "view", "user")
        assert sides.spicedbs(asked) == FoundSubjects({"a": True}, {})
        assert sides.ours(asked) == {"a": False, "*": False}
        assert sides.verdict(asked) == explained.ALL_SKIPS_TYPES
        assert sides.spicedbs(check("doc:1#view@user:a")) is False

    def test_self_is_of_its_own_type(self, sides: Sides) -> None:
        """SpiceDB's lookup gives the resource's id whatever type of subject is asked for."""
        sides.hold(
            """
            use self
            definition user {}
            definition doc {
                relation viewer: user
                permission view = viewer + self
            }""",
            "doc:1#viewer@user:a",
            objects="user:1",
        )
        asked = subjects("doc:1", "view", "user")
        assert sides.spicedbs(asked) == FoundSubjects({"a": True, "1": True}, {})
        assert sides.ours(asked) == {"a": True, "1": False, "*": False}
        assert sides.verdict(asked) == explained.SELF_OF_ANY_KIND
        assert sides.spicedbs(check("doc:1#view@user:1")) is False

    def test_a_listed_subject_has_all_that_is_said_of_it(self, sides: Sides) -> None:
        """SpiceDB lists what the wildcard says apart: whoever reads its list puts the two
        together. In Relata's lists every id has its own answer."""
        sides.hold(
            CAVEATS
            + """
            definition user {}
            definition doc {
                relation viewer: user with xx | user:* with yy
            }""",
            "doc:1#viewer@user:a[xx]",
            "doc:1#viewer@user:*[yy]",
        )
        asked = subjects("doc:1", "viewer", "user")
        both = FoundSubjects({"a": missing("x"), "*": missing("y")}, {})
        assert sides.spicedbs(asked) == both
        assert sides.ours(asked) == {"a": missing("x", "y"), "*": missing("y")}
        assert sides.verdict(asked) == COMPARED  # by what is conditional alone
        assert sides.spicedbs(check("doc:1#viewer@user:a")) == missing("x", "y")


class TestExpansions:
    def test_a_false_caveat_is_left_out(self, sides: Sides) -> None:
        """SpiceDB's expansion takes no context, and lists relationships whatever their caveats
        say. Relata's says what is so now."""
        sides.hold(
            CAVEATS
            + """
            definition user {}
            definition doc {
                relation viewer: user with xx
            }""",
            'doc:1#viewer@user:no[xx:{"x":false}]',
            'doc:1#viewer@user:yes[xx:{"x":true}]',
            "doc:1#viewer@user:perhaps[xx]",
        )
        asked = Expansion(ObjectRef("doc", "1"), "viewer")
        who = {id_: SubjectRef("user", id_) for id_ in ("no", "yes", "perhaps")}
        assert set(sides.spicedbs(asked)) == set(who.values())
        assert sides.ours(asked) == (who["perhaps"], who["yes"])
        assert sides.verdict(asked) == explained.EXPANSION_HAS_FALSE


BROKEN = "fails"
"""In place of an answer: the caveat fails."""


class TestCaveats:
    """`docs/caveats.md` has the reasons."""

    @pytest.mark.parametrize(
        ("parameters", "expression", "context", "spicedbs", "ours"),
        [
            ("ip ipaddress", "ip.in_cidr('10.0.0.0/8')", {"ip": "::ffff:10.1.2.3"}, False, True),
            ("ip ipaddress", "ip.in_cidr('::/0')", {"ip": "::ffff:10.1.2.3"}, True, False),
            ("ip ipaddress", "ip.in_cidr('::ffff:10.0.0.0/104')", {"ip": "10.1.1.1"}, False, True),
            ("tags map<any>", "tags.isSubtreeOf({'a': 'x'})", {"tags": {"a": "x"}}, BROKEN, True),
            ("tags map<any>", "tags.isSubtreeOf(tags)", {"tags": {"a": [1]}}, BROKEN, True),
            ("count uint", "count + 1 == 3", {"count": 2}, BROKEN, True),
            ("count uint", "string(count) == '2'", {"count": 2}, BROKEN, True),
            ("tags map<any>", "has(tags.a.b)", {"tags": {"a": 1}}, False, BROKEN),
            ("said string", "bool(said)", {"said": "T"}, True, BROKEN),
            ("said string", "!bool(said)", {"said": "F"}, True, BROKEN),
            ("said string", "bool(said)", {"said": "t"}, True, True),
            ("num double", "num / num < 1.0", {"num": 0}, BROKEN, False),
            ("num int", "[1].all(num, num > 0)", {}, missing("num"), True),
            ("num int", "num == 9007199254740992", {"num": 9_007_199_254_740_993}, True, False),
        ],
    )
    def test_an_expression_has_its_own_answer(
        self,
        sides: Sides,
        parameters: str,
        expression: str,
        context: Mapping[str, Any],
        spicedbs: Grant,
        ours: Grant,
    ) -> None:
        """Where CEL's definition or prudence says otherwise than SpiceDB."""
        sides.hold(_caveated(parameters, expression), "doc:1#viewer@user:a[cav]", **context)
        asked = check("doc:1#viewer@user:a")
        found = sides.spicedbs(asked)
        assert (BROKEN if isinstance(found, Refusal) else found) == spicedbs
        right = sides.ours(asked)
        assert (BROKEN if right is None else right) == ours

    @pytest.mark.parametrize("part", ["int(age) > 0", "age.getMilliseconds() > 0"])
    def test_a_duration_has_no_single_number(
        self, sides: Sides, spicedb: SpiceDB, part: str
    ) -> None:
        """SpiceDB gives the whole duration, as nanoseconds and as milliseconds; CEL defines the
        first not at all, and the second as a part of a second."""
        text = _caveated("age duration", part)
        assert spicedb.write_schema(text) is None
        with pytest.raises(SchemaTypeError):
            compile_schema(text)

    @pytest.mark.parametrize("name", ["dyn", "optional_type"])
    def test_a_type_of_cel_names_no_parameter(self, spicedb: SpiceDB, name: str) -> None:
        """SpiceDB's library takes these two for parameters, and refuses the other types; ours
        takes all of them for types."""
        text = _caveated(f"{name} int", f"{name} == 1")
        assert spicedb.write_schema(text) is None
        with pytest.raises(SchemaTypeError, match=f"`{name}` is a type of CEL"):
            compile_schema(text)

    def test_a_string_may_stand_in_three_apostrophes(self, spicedb: SpiceDB) -> None:
        """CEL has them beside three quotation marks; SpiceDB's lexer knows the latter alone."""
        text = _caveated("who string", "who == '''it's'''")
        refused = spicedb.write_schema(text)
        assert refused is not None
        assert "TokenTypeError" in refused.message
        compile_schema(text)
        assert spicedb.write_schema(text.replace("'''", '"""')) is None


def _caveated(parameters: str, expression: str) -> str:
    return f"""
        caveat cav({parameters}) {{ {expression} }}
        definition user {{}}
        definition doc {{
            relation viewer: user with cav
        }}"""


class TestSchemas:
    def test_a_trait_is_finished(self, spicedb: SpiceDB) -> None:
        """SpiceDB takes `with cav and` for `with cav`. Whoever wrote `and` meant an expiration."""
        text = _caveated("flag bool", "flag").replace("with cav", "with cav and")
        text = f"use expiration\n{text}"
        assert spicedb.write_schema(text) is None
        with pytest.raises(SchemaParseError, match="expected `expiration`"):
            compile_schema(text)

    def test_a_caveat_has_a_name_that_a_relationship_can_give(self, spicedb: SpiceDB) -> None:
        """SpiceDB takes any letter in the name of a caveat, which no relationship can then name."""
        text = _caveated("flag bool", "flag").replace("cav(", "caf\xe9(")
        text = text.replace("with cav", "with caf\xe9")
        assert spicedb.write_schema(text) is None
        item = Relationship(
            ObjectRef("doc", "1"), "viewer", SubjectRef("user", "a"), CaveatRef("caf\xe9")
        )
        assert spicedb.write_each(text, [item]) == [False]
        with pytest.raises(SchemaTypeError, match="`caf\xe9` cannot name a caveat"):
            compile_schema(text)

    def test_a_partial_is_there_once(self, spicedb: SpiceDB) -> None:
        """SpiceDB forgets the first of two partials of one name, without a word; of two
        definitions or caveats it refuses the second, as is done here."""
        text = """
            use partial
            partial owned {
                relation owner: user
            }
            partial owned {
                relation holder: user
            }
            definition user {
                ...owned
                permission act = holder
            }"""
        assert spicedb.write_schema(text) is None
        lost = spicedb.write_schema(text.replace("act = holder", "act = owner"))
        assert lost is not None
        assert "`owner` not found" in lost.message
        with pytest.raises(SchemaTypeError, match="there is a partial `owned` already"):
            compile_schema(text)


class TestWhatIsStored:
    def test_an_expired_relationship_can_be_created_anew(self, spicedb: SpiceDB) -> None:
        """SpiceDB's memory store keeps it, unseen and in the way, until it is collected. What has
        expired does not exist."""
        schema = """
            use expiration
            definition user {}
            definition doc {
                relation viewer: user with expiration
            }"""
        expired = parse_relationship(f"doc:1#viewer@user:a{EXPIRED}")
        anew = parse_relationship("doc:1#viewer@user:a[expiration:2999-01-01T00:00:00Z]")
        assert spicedb.write_each(schema, [expired]) == [True]
        refused = spicedb.create(anew)
        assert refused is not None
        assert refused.code == "AlreadyExists"
        with Relata.open("sqlite://", schema=schema, follow_seconds=None) as relata:
            relata.write([expired])
            relata.write([create(anew)])
            assert relata.check("doc:1", "viewer", "user:a").allowed

    def test_ids_may_have_more_characters(self, spicedb: SpiceDB) -> None:
        """SpiceDB's ids have letters, digits and `/_|-=+`; an e-mail address is an id here."""
        schema = "definition user {}\ndefinition doc {\n\trelation viewer: user\n}"
        item = parse_relationship("doc:1#viewer@user:anne@example.com")
        assert spicedb.write_each(schema, [item]) == [False]
        with Relata.open("sqlite://", schema=schema, follow_seconds=None) as relata:
            relata.write([item])
            assert relata.check("doc:1", "viewer", "user:anne@example.com").allowed
