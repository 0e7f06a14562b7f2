"""Which engine fits, why another does not, and what is checked before a plan is handed on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime import Bundle
from runtime.device import Device
from runtime.engine_record import (
    ENGINE_FORMAT,
    EngineFlags,
    EngineRecord,
    Flavour,
    Hardware,
    Host,
    LayerTuning,
    PlanInfo,
    Profile,
    fits,
)
from runtime.engines import ENGINES, choose_engine, engine_folders, graph_digests, read_engine
from runtime.errors import BundleError, EngineMismatchError, IntegrityError
from runtime.records import digest_of, to_plain
from runtime.up_forms import UpForm

ORIN = Device("Orin", "8.7", 16, 8 << 30, "12.6", "linux-aarch64")
HOST = Host(ORIN, Flavour.TENSORRT, "10.3.0")
PLAN = b"a plan"


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    return Bundle(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))


def make_record(bundle: Bundle, **changes: Any) -> EngineRecord:
    info = PlanInfo(hashlib.sha256(PLAN).hexdigest(), len(PLAN), "", ())
    plans = {name: dataclasses.replace(info, graph_sha256=sha) for name, sha in graph_digests(bundle, "fp32").items()}
    record = EngineRecord(
        ENGINE_FORMAT, Flavour.TENSORRT, "10.3.0", "fp32", (Profile(1, 1, 8),), EngineFlags(), ORIN, plans
    )
    return dataclasses.replace(record, **changes)


def store(bundle: Bundle, record: EngineRecord) -> Path:
    folder = bundle.path / ENGINES / record.fingerprint
    folder.mkdir(parents=True)
    for name in record.plans:
        (folder / f"{name}.plan").write_bytes(PLAN)
    (folder / "engine.json").write_text(record.to_text())
    return folder


def test_an_engine_of_this_host_is_chosen_and_read(bundle: Bundle) -> None:
    folder = store(bundle, make_record(bundle))
    engine = choose_engine(bundle, HOST)
    assert engine.folder == folder
    assert engine.read_plan("synthesis") == PLAN
    assert engine.record == make_record(bundle)


def test_a_bundle_with_engines_is_still_sound(bundle: Bundle) -> None:
    store(bundle, make_record(bundle))
    Bundle(bundle.path)


def on(**changes: Any) -> Host:
    return dataclasses.replace(HOST, device=dataclasses.replace(ORIN, **changes))


FOREIGN = {
    "another GPU": (on(compute_capability="8.9"), "compute capability 8.7, this is 8.9"),
    "fewer multiprocessors": (on(sm_count=8, name="Nano"), "16 multiprocessors (Orin), this GPU has 8 (Nano)"),
    "less memory": (on(memory=4 << 30), "8,192 MiB of memory, this GPU has 4,096"),
    "an older driver": (on(driver="12.2"), "a driver for CUDA 12.6, this one serves 12.2"),
    "another platform": (on(platform="linux-x86_64"), "linux-aarch64, this is linux-x86_64"),
    "a newer TensorRT": (dataclasses.replace(HOST, tensorrt="10.13.3"), "TensorRT 10.3.0, this is 10.13.3"),
    "another flavour": (dataclasses.replace(HOST, flavour=Flavour.RTX), "for tensorrt, this is tensorrt-rtx"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_engine_is_refused_with_the_command(case: str, bundle: Bundle) -> None:
    host, reason = FOREIGN[case]
    store(bundle, make_record(bundle))
    with pytest.raises(EngineMismatchError) as caught:
        choose_engine(bundle, host)
    assert reason in str(caught.value)
    assert f"stylegan-edge build {bundle.path} --backend {host.flavour.value} --precision fp32" in str(caught.value)


@pytest.mark.parametrize("host", [on(memory=(8 << 30) - (100 << 20)), on(driver="13.0"), on(name="Orin NX")])
def test_what_does_not_matter_is_let_pass(host: Host, bundle: Bundle) -> None:
    assert fits(make_record(bundle), host, graph_digests(bundle, "fp32")) == []


COMPATIBLE = {
    "newer TensorRT": (EngineFlags(version_compatible=True), dataclasses.replace(HOST, tensorrt="11.4.0"), True),
    "older TensorRT": (EngineFlags(version_compatible=True), dataclasses.replace(HOST, tensorrt="10.1.0"), False),
    "Ampere+ on Ada": (EngineFlags(hardware=Hardware.AMPERE_PLUS), on(compute_capability="8.9", sm_count=80), True),
    "Ampere+ on Turing": (EngineFlags(hardware=Hardware.AMPERE_PLUS), on(compute_capability="7.5"), False),
    "Ampere+ on 10.0": (EngineFlags(hardware=Hardware.AMPERE_PLUS), on(compute_capability="10.0"), True),
    "a sibling": (EngineFlags(hardware=Hardware.SAME_CAPABILITY), on(sm_count=8, memory=4 << 30), True),
    "no sibling": (EngineFlags(hardware=Hardware.SAME_CAPABILITY), on(compute_capability="8.6"), False),
}


@pytest.mark.parametrize("case", COMPATIBLE)
def test_compatibility_that_was_asked_for_widens_where_it_fits(case: str, bundle: Bundle) -> None:
    flags, host, expected = COMPATIBLE[case]
    assert (fits(make_record(bundle, flags=flags), host, graph_digests(bundle, "fp32")) == []) is expected


def test_the_engine_of_this_very_device_comes_first(bundle: Bundle) -> None:
    store(bundle, make_record(bundle, flags=EngineFlags(hardware=Hardware.AMPERE_PLUS)))
    own = store(bundle, make_record(bundle))
    store(bundle, make_record(bundle, flags=EngineFlags(version_compatible=True)))
    assert choose_engine(bundle, HOST).folder == own


TUNED = (LayerTuning("synthesis", "b8_conv0_up", UpForm.FUSED, {"transposed": 20.5, "fused": 10.0}),)


def test_a_tuned_engine_comes_before_its_like_and_is_read_back(bundle: Bundle) -> None:
    store(bundle, make_record(bundle))
    record = make_record(bundle, flags=EngineFlags(tune=True), tuning=TUNED)
    tuned = store(bundle, record)
    store(bundle, make_record(bundle, flags=EngineFlags(tune=True, version_compatible=True), tuning=TUNED))
    assert choose_engine(bundle, HOST).folder == tuned
    assert read_engine(tuned).record == record
    assert "--tune" in record.build_command(bundle.path).split()


def test_what_was_measured_is_no_part_of_the_name(bundle: Bundle) -> None:
    """A second --tune must be told that there is one, whatever it would measure."""
    flags = EngineFlags(tune=True)
    slower = dataclasses.replace(TUNED[0], form=UpForm.TRANSPOSED, microseconds={"transposed": 1.0})
    names = {make_record(bundle, flags=flags, tuning=tuning).fingerprint for tuning in ((), TUNED, (slower,))}
    assert len(names) == 1
    assert make_record(bundle).fingerprint not in names


def test_an_engine_from_before_there_was_tuning_is_read(bundle: Bundle) -> None:
    record = make_record(bundle)
    plain = to_plain(record)
    del plain["tuning"], plain["flags"]["tune"]
    graphs = {name: plan.graph_sha256 for name, plan in record.plans.items()}
    assert record.fingerprint.endswith(digest_of({**plain, "plans": graphs})[:12])
    folder = store(bundle, record)
    (folder / "engine.json").write_text(json.dumps({**plain, "digest": digest_of(plain)}))
    assert choose_engine(bundle, HOST).record == record


def test_a_stale_engine_is_refused_with_its_own_options(bundle: Bundle) -> None:
    record = make_record(bundle, flags=EngineFlags(workspace=512, tf32=True), profiles=(Profile(1, 2, 4),))
    stale = {name: dataclasses.replace(plan, graph_sha256="0" * 64) for name, plan in record.plans.items()}
    store(bundle, dataclasses.replace(record, plans=stale))
    with pytest.raises(EngineMismatchError, match="built from another synthesis graph") as caught:
        choose_engine(bundle, HOST)
    assert "--batch 1,2,4 --workspace 512 --tf32" in str(caught.value)


def test_no_engine_at_all_names_the_command(bundle: Bundle) -> None:
    with pytest.raises(EngineMismatchError, match=r"stylegan-edge build .* has no tensorrt engine of synthesis"):
        choose_engine(bundle, HOST)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"b" + data[1:], "its sha256 is not its record's"),
        (lambda data: data + b"\0", "has 7 bytes, expected 6"),
        (lambda data: b"", "has 0 bytes, expected 6"),
    ],
)
def test_a_changed_plan_is_refused(change: Callable[[bytes], bytes], message: str, bundle: Bundle) -> None:
    folder = store(bundle, make_record(bundle))
    (folder / "synthesis.plan").write_bytes(change(PLAN))
    with pytest.raises(IntegrityError, match=message) as caught:
        choose_engine(bundle, HOST).read_plan("synthesis")
    assert "--batch 1,1,8 --force" in str(caught.value)


def test_a_missing_or_linked_plan_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder = store(bundle, make_record(bundle))
    (folder / "mapping.plan").unlink()
    (folder / "synthesis.plan").rename(tmp_path / "elsewhere")
    (folder / "synthesis.plan").symlink_to(tmp_path / "elsewhere")
    engine = read_engine(folder)
    for name in ("mapping", "synthesis"):
        with pytest.raises(IntegrityError, match="is missing"):
            engine.read_plan(name)
    with pytest.raises(BundleError, match="holds no plan of other"):
        engine.read_plan("other")


RECORDS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a newer format": (lambda r: r.update(format_version=2), "has format_version 2, this release reads 1"),
    "true for a format": (lambda r: r.update(format_version=True), "format_version"),
    "an unknown field": (lambda r: r.update(colour="red"), "unknown field 'colour'"),
    "a missing field": (lambda r: r.pop("device"), "the field 'device' is missing"),
    "an unknown flavour": (lambda r: r.update(flavour="other"), "expected one of tensorrt, tensorrt-rtx"),
    "a plan outside": (lambda r: r["plans"].update({"../x": r["plans"]["mapping"]}), "'../x' is not a graph's name"),
    "no plan": (lambda r: r.update(plans={}), "holds no plan"),
    "a profile upside down": (lambda r: r["profiles"][0].update(least=9), "expected MIN,OPT,MAX"),
    "a version that is none": (lambda r: r.update(tensorrt="../.."), "not a version of TensorRT"),
    "a capability that is none": (lambda r: r["device"].update(compute_capability="/"), "not a compute capability"),
    "memory of text": (lambda r: r["device"].update(memory="much"), "expected int"),
    "another engine's": (lambda r: r.update(tensorrt="10.4.0"), "its record is that of"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_that_makes_no_sense_is_named(case: str, bundle: Bundle) -> None:
    change, message = RECORDS[case]
    folder = store(bundle, make_record(bundle))
    content = json.loads((folder / "engine.json").read_text())
    del content["digest"]
    change(content)
    (folder / "engine.json").write_text(json.dumps({**content, "digest": digest_of(content)}))
    with pytest.raises(BundleError, match=message):
        read_engine(folder)
    with pytest.raises(EngineMismatchError, match=message):
        choose_engine(bundle, HOST)


@pytest.mark.parametrize("text", [b"", b"[" * 100_000, b"null", b"{}", b"\xff\xfe", b" " * (2 << 20)])
def test_a_garbage_record_is_named(text: bytes, bundle: Bundle) -> None:
    folder = store(bundle, make_record(bundle))
    (folder / "engine.json").write_bytes(text)
    with pytest.raises(BundleError, match=r"engine\.json: "):
        read_engine(folder)


def test_a_changed_record_is_refused(bundle: Bundle) -> None:
    folder = store(bundle, make_record(bundle))
    path = folder / "engine.json"
    path.write_text(path.read_text().replace('"tf32": false', '"tf32": true'))
    with pytest.raises(IntegrityError, match="not what its digest says"):
        read_engine(folder)


def test_hidden_folders_files_and_links_are_no_engines(bundle: Bundle, tmp_path: Path) -> None:
    folder = store(bundle, make_record(bundle))
    (bundle.path / ENGINES / ".half.x.partial").mkdir()
    (bundle.path / ENGINES / "notes.txt").write_text("mine")
    (bundle.path / ENGINES / "link").symlink_to(tmp_path)
    assert engine_folders(bundle) == [folder]
