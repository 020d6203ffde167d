"""Case B6: one role owns the installation, another uses it; rights as they are on the column."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.contrib.auth import get_user_model

from prefs import shadow
from prefs.engine.integrity import problems
from prefs.engine.states import Gate, State
from prefs.models import AuditEntry, Mismatch, NotificationPreferences, UserPreferences
from tests.support import roles
from tests.support.refusals import assert_refused, finding
from tests.support.roles import give_everything_to, logged_in_as
from tests.support.running import run
from tests.support.steps import (
    ALIAS,
    SOON,
    add_users,
    copy_all,
    go,
    part_blob,
    rows,
    state,
    value,
    verify_all,
)

WANTS = {"theme": "light", "notifications": {"email": {"marketing": True}}}
# What deleting a user by Django looks at.
_BESIDE = (
    "django_admin_log",
    "accounts_user_groups",
    "accounts_user_user_permissions",
    "waffle_flag_users",
)
TYPED = ("user_preferences", "notification_preferences")


def grants(table: str, role: str) -> set[str]:
    found = rows(
        "SELECT privilege_type FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.oid = %s::regclass AND a.grantee = %s::regrole",
        table,
        role,
    )
    return {row[0] for row in found}


@pytest.fixture
def installed(owner: str, app: str, site: str) -> list[int]:
    """A site whose tables belong to one role, and whose application connects as another."""
    users = add_users(*[WANTS] * 3)
    give_everything_to(owner)
    rows(f"GRANT SELECT, INSERT, UPDATE, DELETE ON accounts_user TO {app}")
    rows(f"GRANT SELECT, DELETE ON {', '.join(_BESIDE)} TO {app}")
    return users


@pytest.mark.parametrize("here", State)
def test_the_application_reads_and_writes_in_every_state_under_its_own_role(
    owner: str, app: str, installed: list[int], here: State
) -> None:
    """Case B6: reads were denied from migrate on, while every check was green."""
    with logged_in_as(owner):
        assert run("install_prefs").status == 0
        go(here)
        assert problems(ALIAS) == []
    with logged_in_as(app):
        assert UserPreferences.objects.merge(installed[0], {"theme": "dark"})["theme"] == "dark"
        UserPreferences.objects.replace(installed[1], {"theme": "system"})
        users = list(get_user_model()._default_manager.order_by("pk"))
        assert [user.preferences["theme"] for user in users] == ["dark", "system", "light"]
        users[2].preferences["theme"] = "dark"
        users[2].save()
        wants = list(NotificationPreferences.objects.audience("email", "marketing"))
        assert wants == [installed[0], installed[2]]
        new = get_user_model()._default_manager.create(username="new", preferences=WANTS)
        assert UserPreferences.objects.document(new.pk) == WANTS
        get_user_model()._default_manager.get(pk=installed[1]).delete()
        with pytest.raises(Exception, match="permission denied"):
            rows("DELETE FROM user_preferences")


def test_a_shadow_read_of_the_application_s_is_told_under_its_own_role(
    owner: str, app: str, installed: list[int]
) -> None:
    with logged_in_as(owner):
        assert run("install_prefs").status == 0
        go(State.DUAL_WRITE)
        copy_all()
        verify_all()
        assert run("canary_prefs", "50", "--shadow", "100").status == 0
    part_blob(installed[0], {"theme": "dark"})
    with logged_in_as(app):
        found = UserPreferences.objects.document(installed[0])
        assert found["theme"] in ("dark", "light")
        shadow.settle()
        with pytest.raises(Exception, match="permission denied"):
            rows("UPDATE waffle_sample SET percent = 100")
    assert Mismatch.objects.get().pk == installed[0]
    assert rows("SELECT percent FROM waffle_sample WHERE name = 'prefs_canary_reads'") == [(0,)]
    assert AuditEntry.objects.latest("id").actor == app


def test_what_a_role_lacks_is_named_with_its_statements_by_the_gate_and_the_check(
    owner: str, app: str, installed: list[int]
) -> None:
    """Case B6: check --database, the gate and install_prefs name the GRANTs."""
    statements = [
        f'GRANT SELECT, INSERT, UPDATE ON "public"."{table}" TO {app}'
        for table in (*TYPED, "prefs_shadow")
    ] + [
        f'GRANT SELECT (name, {value}) ON "public"."waffle_{table}" TO {app}'
        for table, value in (("switch", "active"), ("sample", "percent"))
    ]
    statements += [
        f'GRANT EXECUTE ON FUNCTION "public"."{function} TO {app}'
        for function in (
            'prefs_compare"(bigint[], integer)',
            'prefs_note_mismatch"(bigint, jsonb, text, text)',
            'prefs_verification_stands"()',
        )
    ]
    assert_refused(Gate.RIGHTS, State.DUAL_WRITE, f"the role {app} lacks", *statements)
    for command in (("check", "--database", "default"), ("install_prefs", "--dry-run")):
        said = run(*command)
        for statement in statements:
            assert statement in said.out + said.err
    assert not grants("user_preferences", app)
    for statement in statements:
        rows(statement)
    assert finding(Gate.RIGHTS, State.DUAL_WRITE).met


def test_a_role_that_reads_the_column_alone_reads_the_typed_tables_alone(
    owner: str, app: str, installed: list[int]
) -> None:
    """Spec 4.6 as a test: what a role has on the column, and no more."""
    rows(f"REVOKE ALL ON accounts_user FROM {app}")
    rows(f"GRANT SELECT (id, preferences) ON accounts_user TO {app}")
    settings = replace(SOON, application_roles=(app,))
    found = finding(Gate.RIGHTS, State.DUAL_WRITE, settings).found
    assert f'GRANT SELECT ON "public"."user_preferences" TO {app}' in found
    # It counts its shadow reads, and writes nothing else.
    assert 'GRANT SELECT, INSERT, UPDATE ON "public"."prefs_shadow"' in found
    assert found.count("INSERT") == found.count("UPDATE") == 1
    # By default a role that writes nothing is not taken for the application's.
    assert finding(Gate.RIGHTS, State.DUAL_WRITE).met


@pytest.mark.parametrize(
    ("privilege", "table"),
    [
        ("DELETE", "user_preferences"),
        ("TRUNCATE", "notification_preferences"),
        ("TRIGGER", "user_preferences"),
        ("SELECT", "prefs_archive_departure"),
        ("INSERT", "prefs_archive"),
    ],
)
def test_what_is_more_than_the_column_gave_is_noticed_and_taken_away(
    owner: str, app: str, installed: list[int], privilege: str, table: str
) -> None:
    """Spec 4.6 as a test, broken on purpose: a role that gained a right."""
    assert run("install_prefs").status == 0
    rows(f"GRANT {privilege} ON {table} TO {app}")
    said = f"{app} may {privilege} on {table}, and may not on the column"
    assert_refused(Gate.RIGHTS, State.DUAL_WRITE, said)
    assert run("install_prefs").status == 0
    assert privilege not in grants(table, app)
    assert finding(Gate.RIGHTS, State.DUAL_WRITE).met


def test_default_privileges_of_the_site_give_nobody_the_typed_tables(
    owner: str, app: str, site: str
) -> None:
    """Spec 4.6 as a test: a reporting role that may read every new table of the site."""
    rows("CREATE SCHEMA later")
    with roles.role("reporter") as reporter:
        for statement in (
            f"REVOKE ALL ON accounts_user FROM {reporter}",
            f"GRANT SELECT ON user_preferences, prefs_archive TO {reporter}",
            "GRANT SELECT ON notification_preferences TO PUBLIC",
            f"GRANT SELECT (theme) ON user_preferences TO {reporter}",
        ):
            rows(statement)
        found = finding(Gate.RIGHTS, State.DUAL_WRITE)
        assert not found.met
        for said in (
            f"{reporter} may SELECT on user_preferences",
            f"{reporter} may SELECT on prefs_archive",
            "PUBLIC may SELECT on notification_preferences",
        ):
            assert said in found.found
        assert run("install_prefs").status == 0
        assert finding(Gate.RIGHTS, State.DUAL_WRITE).met
        assert not value(
            "SELECT has_any_column_privilege(%s, 'user_preferences', 'SELECT')", reporter
        )


def test_a_column_that_everybody_may_update_needs_the_roles_named(
    owner: str, app: str, installed: list[int], settings: object
) -> None:
    """PUBLIC never gets rights on the typed tables; PREFS_APPLICATION_ROLES says who does."""
    rows("GRANT SELECT, UPDATE ON accounts_user TO PUBLIC")
    said = "everybody (PUBLIC) may update the column preferences"
    assert_refused(Gate.RIGHTS, State.DUAL_WRITE, said)
    named = replace(SOON, application_roles=(app,))
    assert said not in finding(Gate.RIGHTS, State.DUAL_WRITE, named).found
    settings.PREFS_APPLICATION_ROLES = (app,)  # type: ignore[attr-defined]
    assert run("install_prefs").status == 0
    assert finding(Gate.RIGHTS, State.DUAL_WRITE, named).met


def test_everybody_may_not_write_the_typed_tables_though_they_may_the_column(
    owner: str, app: str, installed: list[int]
) -> None:
    """What PUBLIC may do to the column is no measure of what it may have on our tables."""
    rows("GRANT SELECT, UPDATE ON accounts_user TO PUBLIC")
    rows("GRANT SELECT, INSERT, UPDATE ON user_preferences TO PUBLIC")
    found = finding(Gate.RIGHTS, State.DUAL_WRITE, replace(SOON, application_roles=(app,))).found
    for privilege in ("SELECT", "INSERT", "UPDATE"):
        assert f"PUBLIC may {privilege} on user_preferences" in found


def test_what_each_of_several_roles_lacks_is_said_of_that_role(
    owner: str, app: str, installed: list[int]
) -> None:
    """All are asked about in one statement; one reads, the other may lock nobody."""
    with roles.role("reader") as reader:
        rows(f"REVOKE ALL ON accounts_user FROM {app}")
        rows(f"GRANT SELECT (id, preferences), UPDATE (preferences) ON accounts_user TO {app}")
        rows(f"GRANT SELECT (id, preferences) ON accounts_user TO {reader}")
        named = replace(SOON, application_roles=(reader, app, reader))
        found = finding(Gate.RIGHTS, State.DUAL_WRITE, named).found
        rows(f"REVOKE ALL (id, preferences) ON accounts_user FROM {reader}")
    of_reader, of_app = found.split(f"the role {app} lacks")
    for table in TYPED:
        assert f'GRANT SELECT ON "public"."{table}" TO {reader}' in of_reader
        assert f'GRANT SELECT, INSERT, UPDATE ON "public"."{table}" TO {app}' in of_app
    assert found.count(f"the role {reader} lacks what it has on the column") == 1
    assert f"{reader} could lock no user" not in found
    assert f"the role {app} could lock no user once the column is dropped" in of_app


def test_a_role_that_is_named_and_does_not_exist_is_an_unmet_gate(site: str) -> None:
    named = replace(SOON, application_roles=("nobody_at_all",))
    found = finding(Gate.RIGHTS, State.DUAL_WRITE, named)
    assert (
        "the role 'nobody_at_all' that PREFS_APPLICATION_ROLES names does not exist" in found.found
    )
    assert "correct the setting" in found.remedy


def test_a_definer_that_lost_a_right_is_named(owner: str, app: str, installed: list[int]) -> None:
    """Case B6, the other way round: what triggers do as their owner, the owner may do."""
    assert run("install_prefs").status == 0
    rows(f"ALTER FUNCTION prefs_capture() OWNER TO {app}")
    said = f"{app}, as whom trigger functions run, may not do what they do"
    assert_refused(Gate.RIGHTS, State.DUAL_WRITE, said, "prefs_archive_departure")


def test_a_role_that_may_not_grant_leaves_the_statements_to_one_that_may(
    owner: str, app: str, installed: list[int]
) -> None:
    """Case B6: what install_prefs may not do, it prints; nothing is half done."""
    with roles.role("stranger") as stranger:
        rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {stranger}")
        with logged_in_as(stranger):
            found = run("install_prefs")
        assert found.status == 3
        assert f"left, this role may not: the role {app} lacks" in found.out
        assert not grants("user_preferences", app)
        rows(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {stranger}")


@pytest.mark.slow
def test_rights_on_the_column_alone_outlast_the_drop_and_the_way_back(
    owner: str, app: str, installed: list[int]
) -> None:
    """Restore brings back what was granted on the column; meanwhile nobody's rights shrink."""
    rows(f"REVOKE ALL ON accounts_user FROM {app}")
    rows(f"GRANT SELECT (id, preferences), UPDATE (preferences) ON accounts_user TO {app}")
    said = f"the role {app} could lock no user once the column is dropped"
    assert_refused(Gate.RIGHTS, State.DUAL_WRITE, said)
    rows(f"GRANT UPDATE (last_login) ON accounts_user TO {app}")
    assert run("install_prefs").status == 0
    before = value("SELECT attacl::text FROM pg_attribute WHERE attname = 'preferences'"
                   " AND attrelid = 'accounts_user'::regclass")  # fmt: skip
    go(State.DROPPED)
    assert run("install_prefs").out.startswith("Everything is as it should be")
    assert problems(ALIAS) == []
    with logged_in_as(app):
        assert UserPreferences.objects.merge(installed[0], {"theme": "dark"})["theme"] == "dark"
    go(State.EXPANDED)
    after = value("SELECT attacl::text FROM pg_attribute WHERE attname = 'preferences'"
                  " AND attrelid = 'accounts_user'::regclass")  # fmt: skip
    assert after == before
    assert state() is State.EXPANDED
    with logged_in_as(app):
        assert UserPreferences.objects.document(installed[0])["theme"] == "dark"
