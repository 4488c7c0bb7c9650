"Downloads from servers of our own with every weakness, and counts of what is missing. No test touches the internet."
import hashlib
import json
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from skelbench import downloading
from skelbench.downloading import SOURCES, STEPS, File, Source, download, missing, steps

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    "As the server's `how` says: ranges, version, cut after so many bytes, stall, status of the first answers."
    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        how = self.server.how
        if body:
            how.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", self.path if self.path == "/moved/round" else "/file.bin")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        status = how.statuses.pop(0) if body and how.statuses else 404 if self.path == "/gone.bin" else 200
        if status != 200:
            self.send_error(status)
            return
        begin, total = 0, len(how.content)
        wanted = self.headers.get("Range") if how.ranges else None
        if wanted and self.headers.get("If-Range") in (None, how.version):
            begin = int(wanted[6:-1])
        if begin >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        if how.length:
            self.send_header("Content-Length", total - begin)
        if how.version:
            self.send_header("ETag" if how.version.startswith('"') else "Last-Modified", how.version)
        if begin:
            self.send_header("Content-Range", f"bytes {begin + how.shift}-{total - 1}/{total}")
        self.end_headers()
        if body:
            end = total if not how.cuts else min(total, begin + how.cuts.pop(0))
            self.wfile.write(how.content[begin:end])
            if end < total and how.stall:
                self.wfile.flush()
                time.sleep(how.stall)
        self.close_connection = True

    def log_message(self, *words): pass


@pytest.fixture
def server(monkeypatch):
    "A server of `CONTENT` that is as good as can be until told otherwise."
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.how = SimpleNamespace(content=CONTENT, ranges=True, version='"one"', cuts=[], stall=0, statuses=[], length=True, shift=0, asked=[])
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": .01}, daemon=True).start()
    monkeypatch.setattr(downloading, "WAIT", 0)
    for name in list(SOURCES):  # no test touches the internet
        monkeypatch.delitem(SOURCES, name)

    def offer(*files, sha256=None):
        "Puts a source `made` of these paths into the table."
        address = f"http://127.0.0.1:{server.server_port}/"
        made = tuple(File(f.rpartition("/")[2], address + f, None, sha256) for f in files or ["file.bin"])
        monkeypatch.setitem(SOURCES, "made", Source("made", made, "None.", "nobody", "look at {folder}", address))
    server.offer = offer
    offer()
    yield server
    server.shutdown()
    server.server_close()


def fetch(tmp_path, **options):
    return download("made", tmp_path / "got", **{"agree": True, "progress": False} | options)


def clean(tmp_path):
    "Nothing is there, not even hidden."
    return not list(tmp_path.iterdir())


@pytest.mark.parametrize("known", [True, False])
def test_whole(server, tmp_path, known, capsys):
    server.offer(sha256=SHA if known else None)
    folder = fetch(tmp_path, progress=True)
    assert sorted(p.name for p in folder.iterdir()) == ["download.json", "file.bin"] and [p.name for p in tmp_path.iterdir()] == ["got"]
    assert (folder / "file.bin").read_bytes() == CONTENT
    about = json.loads((folder / "download.json").read_text())
    assert about["files"][0] | {"url": ""} == {"name": "file.bin", "url": "", "bytes": 300_000, "sha256": SHA, "checked": known} and about["terms"] == "None."
    said = capsys.readouterr().out
    assert "Terms: None." in said and "file.bin: 0.3 MB" in said and SHA in said and ("nobody has published" in said) is not known
    with pytest.raises(FileExistsError):
        fetch(tmp_path)


def test_terms_come_first(server, tmp_path):
    with pytest.raises(ValueError, match="agree to them by agree=True or --agree. None."):
        fetch(tmp_path, agree=False)
    assert clean(tmp_path) and not server.how.asked


@pytest.mark.parametrize("version", ['"one"', "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_it_goes_on_where_it_was_cut(server, tmp_path, version):
    server.how.version, server.how.cuts = version, [100_000, 100_000]
    fetch(tmp_path)
    assert (tmp_path / "got" / "file.bin").read_bytes() == CONTENT
    (_, first, _), (_, second, if_second), (_, third, _) = server.how.asked
    assert first is None and if_second == version and 80_000 < int(second[6:-1]) <= 100_000 < int(third[6:-1])


def test_a_second_call_goes_on(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "TRIES", 1)
    server.how.cuts = [150_000, 10]
    with pytest.raises(ValueError, match="lost too often .*0.1 MB came and are kept"):
        fetch(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".got.downloading"] and not (tmp_path / "got").exists()
    server.how.cuts = []
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT
    assert server.how.asked[-1][1].startswith("bytes=1") and [p.name for p in tmp_path.iterdir()] == ["got"]
    assert sorted(p.name for p in (tmp_path / "got").iterdir()) == ["download.json", "file.bin"]


def test_ctrl_c_keeps_what_came(server, tmp_path, monkeypatch):
    def interrupted(self, n=1):
        raise KeyboardInterrupt
    with monkeypatch.context() as m:
        m.setattr(downloading.tqdm, "update", lambda self, n=1: interrupted(self) if n == downloading.PIECE else None)
        with pytest.raises(KeyboardInterrupt):
            fetch(tmp_path)
    assert (tmp_path / ".got.downloading" / "file.bin.part").stat().st_size == downloading.PIECE
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT and server.how.asked[-1][1] == f"bytes={downloading.PIECE}-"


def test_another_version_is_not_glued_to_the_first(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "TRIES", 1)
    server.how.cuts = [150_000]
    with pytest.raises(ValueError):
        fetch(tmp_path)
    server.how.content, server.how.version = CONTENT[::-1], '"two"'
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT[::-1] and server.how.asked[-1][2] == '"one"'


@pytest.mark.parametrize("known", [True, False])
def test_without_a_version(server, tmp_path, known):
    server.offer(sha256=SHA if known else None)
    server.how.version, server.how.cuts = None, [100_000]
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT
    assert (server.how.asked[1][1] is not None) is known  # only a checksum could tell


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.how.ranges, server.how.cuts = False, [100_000, 50_000]
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT and len(server.how.asked) == 3


def test_a_server_that_never_ends_is_given_up(server, tmp_path):
    server.how.ranges, server.how.cuts = False, [100_000] * 9
    with pytest.raises(ValueError, match="lost too often"):
        fetch(tmp_path)
    assert len(server.how.asked) <= 2 * downloading.TRIES and not (tmp_path / "got").exists()


def test_without_a_length_the_checksum_tells(server, tmp_path):
    server.offer(sha256=SHA)
    server.how.length, server.how.cuts = False, [100_000]
    with pytest.raises(ValueError, match="its SHA-256 is not"):
        fetch(tmp_path)
    assert clean(tmp_path)
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    server.offer(sha256="0" * 64)
    with pytest.raises(ValueError, match="its SHA-256 is not 0000") as e:
        fetch(tmp_path)
    assert "\n" not in str(e.value) and clean(tmp_path)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refused(server, tmp_path, status):
    server.how.statuses = [status]
    with pytest.raises(ValueError, match=f"file.bin: the server answers {status}"):
        fetch(tmp_path)
    assert len(server.how.asked) == 1 and clean(tmp_path)


def test_a_server_that_is_busy_is_asked_again(server, tmp_path):
    server.how.statuses = [503, 500]
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT
    server.how.statuses = [503] * 9
    with pytest.raises(ValueError, match="the server answers 503"):
        download("made", tmp_path / "other", agree=True, progress=False)


def test_redirected(server, tmp_path):
    server.offer("moved/file.bin")
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT
    server.offer("moved/round")
    with pytest.raises(ValueError, match="redirects"):
        download("made", tmp_path / "round", agree=True, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["got"]


def test_slow(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "TIMEOUT", (1, .3))
    server.how.stall, server.how.cuts = 1.5, [100_000]
    began = time.perf_counter()
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT and len(server.how.asked) == 2 and time.perf_counter() - began < 5


def test_nobody_there(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(ValueError, match="no connection.*nothing came"):
        fetch(tmp_path)
    assert clean(tmp_path)


def test_a_part_that_is_whole_already(server, tmp_path):
    place = tmp_path / ".got.downloading"
    place.mkdir()
    (place / "file.bin.part").write_bytes(CONTENT)
    (place / "tmpx1y2").touch()  # as a kill leaves it
    (place / "file.bin.part.json").write_text(json.dumps({"url": SOURCES["made"].files[0].url, "version": '"one"'}))
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT and server.how.asked == [("/file.bin", "bytes=300000-", '"one"')]
    assert sorted(p.name for p in (tmp_path / "got").iterdir()) == ["download.json", "file.bin"]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 1, "version": []}', '{"url": "http://elsewhere", "version": "\\"one\\""}'])
def test_a_damaged_note_is_not_believed(server, tmp_path, note):
    place = tmp_path / ".got.downloading"
    place.mkdir()
    (place / "file.bin.part").write_bytes(b"other bytes")
    (place / "file.bin.part.json").write_text(note)
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT and server.how.asked[0][1] is None


def test_a_longer_part_or_another_range_begins_anew(server, tmp_path):
    place = tmp_path / ".got.downloading"
    place.mkdir()
    (place / "file.bin.part").write_bytes(CONTENT + b"more")
    (place / "file.bin.part.json").write_text(json.dumps({"url": SOURCES["made"].files[0].url, "version": '"one"'}))
    assert (fetch(tmp_path) / "file.bin").read_bytes() == CONTENT
    server.how.cuts, server.how.shift = [100_000], 7
    assert (download("made", tmp_path / "shifted", agree=True, progress=False) / "file.bin").read_bytes() == CONTENT


def test_files_that_are_there_are_not_asked_for_again(server, tmp_path):
    server.offer("one.bin", "gone.bin")
    with pytest.raises(ValueError, match="404"):
        fetch(tmp_path)
    assert sorted(p.name for p in (tmp_path / ".got.downloading").iterdir()) == ["one.bin"]
    server.offer("one.bin", "two.bin")
    assert sorted(p.name for p in fetch(tmp_path).iterdir()) == ["download.json", "one.bin", "two.bin"]
    assert [path for path, *_ in server.how.asked] == ["/one.bin", "/gone.bin", "/two.bin"]


def test_no_room(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(ValueError, match="made needs 0.3 MB, and 1.0 kB are free"):
        fetch(tmp_path)
    assert clean(tmp_path) and not server.how.asked


def test_the_tables_are_complete():
    for name, source in SOURCES.items():
        page = steps(name, "here")
        assert source.files and all(f.url.startswith("http") and f.url in page for f in source.files) and source.terms in page and "here" in page
        assert all(f.sha256 is None or len(f.sha256) == 64 for f in source.files)
    for name, known in STEPS.items():
        page = steps(name, "here")
        assert known.page in page and known.terms in page and "1. " in page and "here" in page
        with pytest.raises(ValueError, match="cannot be fetched by a program"):
            download(name, "nowhere", agree=True)
    for wrong in (lambda: steps("nobody"), lambda: download("nobody", "nowhere"), lambda: missing("cmu", ".")):
        with pytest.raises(ValueError, match="unknown data set"):
            wrong()


def test_the_lists_are_the_official_ones(shared_data):
    for file in SOURCES["ntu_missing"].files:
        own = (shared_data / "ntu" / file.name).read_bytes()
        assert len(own) == file.size and hashlib.sha256(own).hexdigest() == file.sha256


def ntu(setup, performer, actions):
    return [f"S{setup:03}C{c:03}P{performer:03}R{r:03}A{a:03}.skeleton" for c in (1, 2, 3) for r in (1, 2) for a in actions]


def test_missing_ntu(tmp_path):
    names = ntu(1, 1, range(1, 61)) + ntu(17, 20, range(1, 61))
    assert len(names) == 720
    lost = {"S001C002P001R001A007.skeleton", "S017C003P020R002A060.skeleton"}
    with zipfile.ZipFile(tmp_path / "nturgbd_skeletons_s001_to_s017.zip", "w") as archive:
        for name in names[:400]:
            if name not in lost:
                archive.writestr(f"nturgb+d_skeletons/{name}", "")
    for name in [*names[380:], *ntu(18, 41, range(61, 121)), "S001C001P001R001A061.skeleton", "readme.txt"]:
        if name not in lost:
            (tmp_path / name).touch()
    found = missing("ntu60", tmp_path)
    assert found["expected"] == 56_880 and found["found"] == 718 and found["missing"] == 56_880 - 718 and not found["archives"]
    assert found["names"] == sorted(n.removesuffix(".skeleton") for n in lost)
    both = missing("ntu120", tmp_path)
    assert both["expected"] == 114_480 and both["found"] == 718 + 361 and both["archives"] == ["nturgbd_skeletons_s018_to_s032.zip"]
    alone = missing("ntu60", tmp_path / "nturgbd_skeletons_s001_to_s017.zip")
    assert alone["found"] in (398, 399) and (tmp_path / "cut.zip").write_bytes(b"PK") and missing("ntu60", tmp_path)["damaged"] == ["cut.zip"]
    with pytest.raises(FileNotFoundError):
        missing("ntu60", tmp_path / "nowhere")


def test_missing_others(tmp_path):
    for path in ("skeleton/0002-L.txt", "label/0002-L.txt", "skeleton/0002-M.txt", "cross_subject.txt", "Label_PKUMMD.7z", "x/s01s02/01/001/skeleton_pos.txt",
                 "HDM_bd.asf", "HDM_bd_walk_001_120.amc", "ntu60_3d.pkl", "a01_s01_e00_v01.json", "a01_s01_e01_v01.txt", "A01N01-L.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    one = missing("pku_mmd_1", tmp_path)
    assert one["found"] == 1 and one["missing"] == 1075 and one["names"] == ["0002-M"] and one["unpack"] == ["Label_PKUMMD.7z"]
    assert one["archives"] == ["Skeleton.7z", "cross_view.txt"] and missing("pku_mmd_2", tmp_path)["found"] == 0
    assert missing("sbu", tmp_path)["missing"] == 281 and missing("nw_ucla", tmp_path)["missing"] == 1483 and missing("uwa3d", tmp_path)["missing"] == 1074
    hdm = missing("hdm05", tmp_path)
    assert hdm["found"] == 1 and hdm["missing"] is None and hdm["names"] == ["HDM_bk.asf", "HDM_dg.asf", "HDM_mm.asf", "HDM_tr.asf"]
    assert missing("pyskl", tmp_path)["found"] == 1


def test_missing_of_the_genuine_files(shared_data):
    for name, archive, count in (("nw_ucla", "nw_ucla/all_sqe.zip", 1484), ("sbu", "sbu/sbu.zip", 282), ("hdm05", "hdm05/hdm05_subset.zip", 110)):
        found = missing(name, shared_data / archive)
        assert found["found"] == count and not found["missing"] and not found["names"], found
