"""The embedded server's files and programs: private, and named in one sentence where unusable."""

import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from project.embedded import EmbeddedPostgresError, server
from tests.project.servers import ROOT, postmaster
from tests.support.needs import AS_ROOT, needs

pytestmark = pytest.mark.slow


def test_nobody_else_can_enter_what_is_private(project: Path) -> None:
    server.use(project, "prefs")
    status = server.status(project)
    assert status.socket
    password = status.data.with_name("password")
    owner = status.data.stat().st_uid
    for path, mode in (
        (status.data, 0o700),
        (status.socket, 0o700),
        (password, 0o600),
        (status.log, 0o600),
        (project / ".postgres", 0o700),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert {path.stat().st_uid for path in (status.socket, password, status.log)} == {owner}
    assert len(str(status.socket)) < 80
    assert status.log.read_text()


@needs(AS_ROOT)
def test_as_root_the_data_is_nobodys_and_outside_the_project(project: Path) -> None:
    project.chmod(0o700)
    status = server.start(project)
    folder = status.data.parent
    assert status.data.owner() == "nobody"
    assert folder.owner() == folder.parent.owner() == "root"
    assert folder.is_relative_to("/var/tmp")
    assert Path(f"/proc/{postmaster(project)}").owner() == "nobody"
    assert sorted(path.name for path in (project / ".postgres").iterdir()) == [
        "lock",
        "root-folder",
    ]
    # No folder on the way was opened up.
    assert stat.S_IMODE(project.stat().st_mode) == 0o700
    assert not folder.parent.stat().st_mode & 0o022


@needs(AS_ROOT)
def test_a_copied_project_does_not_share_the_server_of_the_original(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("copy")
    original = server.status(project)
    (copy / ".postgres").mkdir(mode=0o700)
    pointer = (project / ".postgres" / "root-folder").read_text()
    (copy / ".postgres" / "root-folder").write_text(pointer)
    try:
        assert server.status(copy).data != original.data
    finally:
        server.remove(copy)
    assert original.data.parent.exists()


@needs(AS_ROOT)
def test_root_removes_its_own_server_and_leaves_the_data_of_the_projects_owner(
    project: Path,
) -> None:
    data = project / ".postgres" / "18" / "data"
    data.mkdir(parents=True)
    root_data = server.start(project).data
    server.remove(project)
    assert data.exists()
    assert not root_data.parent.parent.exists()
    shutil.rmtree(project / ".postgres")


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("PREFS_PG_BIN", "/nonexistent", "cannot be run as .*No such file.*DATABASE_URL"),
        ("PREFS_PG_BIN", "/bin", "cannot be run as"),
        ("PREFS_PG_MAJOR", "9", "the package carries 18 or 16: set PREFS_PG_BIN"),
    ],
)
def test_unusable_programs_are_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.delenv("PREFS_PG_BIN")
    monkeypatch.setenv(variable, value)
    with pytest.raises(EmbeddedPostgresError, match=sentence) as refused:
        server.use(project)
    monkeypatch.undo()
    assert "\n" not in str(refused.value)


def test_programs_that_answer_nonsense_are_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("initdb", "pg_ctl", "postgres"):
        (project / name).symlink_to("/bin/false" if name == "initdb" else "/bin/true")
    project.chmod(0o755)
    monkeypatch.setenv("PREFS_PG_BIN", str(project))
    with pytest.raises(EmbeddedPostgresError, match=r"cannot be run as .* DATABASE_URL"):
        server.use(project)
    monkeypatch.undo()


@needs(AS_ROOT)
def test_a_user_id_without_a_name_is_told_of_database_url() -> None:
    program = (
        "import os\nfrom pathlib import Path\nfrom project.embedded import server\n"
        "os.setuid(54321)\n"
        "try: server.use(Path('/nonexistent'))\n"
        "except server.EmbeddedPostgresError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "user id 54321 has no passwd entry" in done.stdout
    assert "set DATABASE_URL" in done.stdout


def test_each_major_has_its_own_data(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFS_PG_BIN")
    monkeypatch.delenv("PREFS_PG_MAJOR", raising=False)
    first = server.start(project)
    monkeypatch.setenv("PREFS_PG_MAJOR", "16")
    second = server.start(project)
    assert (first.major, second.major) == (18, 16)
    assert first.data != second.data
    assert second.running
    server.remove(project)
    assert not first.data.exists()


def test_a_server_in_a_chosen_folder_is_one_more(
    project: Path,
) -> None:
    first = server.start(project)
    with pytest.MonkeyPatch.context() as chosen:
        # One that the server's account may enter, as /dev/shm is.
        parent = Path(tempfile.mkdtemp(dir="/var/tmp"))
        parent.chmod(0o711)
        chosen.setenv("PREFS_PG_FOLDER", str(parent))
        second = server.start(project)
        assert second.data.is_relative_to(parent)
        assert server.status(project).data == second.data
        server.remove(project)
        assert list(parent.iterdir()) == []
        parent.rmdir()
    assert server.status(project) == first


def test_a_chosen_folder_that_is_none_is_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFS_PG_FOLDER", "/nonexistent")
    with pytest.raises(
        EmbeddedPostgresError, match=r"PREFS_PG_FOLDER is '/nonexistent', where .*No such file"
    ):
        server.start(project)
    monkeypatch.undo()
