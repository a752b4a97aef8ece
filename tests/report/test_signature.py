import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from typer.testing import CliRunner

from validation.claims.load import EXAMPLE_CLAIMS
from validation.cli import app
from validation.report.material import Material
from validation.report.signature import (
    SignatureState,
    check_signature,
    fingerprint,
    load_private_key,
    load_public_key,
    sign,
    signature_path,
)
from validation.usage import UsageError

REPORT = b"%PDF-1.7 a report"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def written(
    path: Path, key: Ed25519PrivateKey | Ed448PrivateKey, locked: KeySerializationEncryption | None = None
) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked or NoEncryption()))
    return path


def published(path: Path, key: Ed25519PrivateKey) -> Path:
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def signed(folder: Path) -> Path:
    path = folder / "report.pdf.sig"
    path.write_bytes(sign(REPORT, KEY))
    return path


def test_a_signature_tells_its_key(tmp_path: Path) -> None:
    found = check_signature(REPORT, signed(tmp_path), None)
    assert found is not None
    assert (found.state, found.key) == (SignatureState.VALID, fingerprint(KEY.public_key()))


def test_a_signature_by_the_key_that_was_asked_for_is_valid(tmp_path: Path) -> None:
    found = check_signature(REPORT, signed(tmp_path), KEY.public_key())
    assert found is not None
    assert found.state is SignatureState.VALID


def test_a_signature_by_another_key_is_told(tmp_path: Path) -> None:
    found = check_signature(REPORT, signed(tmp_path), OTHER.public_key())
    assert found is not None
    assert found.state is SignatureState.WRONG_KEY
    assert fingerprint(KEY.public_key()) in found.message
    assert fingerprint(OTHER.public_key()) in found.message


def test_an_altered_report_does_not_fit_its_signature(tmp_path: Path) -> None:
    found = check_signature(REPORT + b" ", signed(tmp_path), None)
    assert found is not None
    assert found.state is SignatureState.ALTERED


def test_a_forger_who_puts_in_another_key_is_noticed(tmp_path: Path) -> None:
    path = signed(tmp_path)
    lines, mine = path.read_text().splitlines(), sign(REPORT, OTHER).decode().splitlines()
    path.write_text("\n".join((lines[0], mine[1], lines[2], "")))
    found = check_signature(REPORT, path, None)
    assert found is not None
    assert found.state is SignatureState.ALTERED


def test_a_missing_signature_is_told_only_when_one_is_asked_for(tmp_path: Path) -> None:
    assert check_signature(REPORT, tmp_path / "none.sig", None) is None
    found = check_signature(REPORT, tmp_path / "none.sig", KEY.public_key())
    assert found is not None
    assert found.state is SignatureState.MISSING


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\xff" * 99, b"x" * 99_999, b"moe-validation report signature 1\nAA\nAA\n"]
)
def test_what_is_no_signature_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.sig").write_bytes(data)
    found = check_signature(REPORT, tmp_path / "x.sig", None)
    assert found is not None
    assert found.state in {SignatureState.MALFORMED, SignatureState.ALTERED}


def test_a_signature_made_for_something_else_does_not_fit(tmp_path: Path) -> None:
    lines = sign(REPORT, KEY).decode().splitlines()
    (tmp_path / "x.sig").write_text("\n".join((*lines[:2], base64.b64encode(KEY.sign(REPORT)).decode(), "")))
    found = check_signature(REPORT, tmp_path / "x.sig", None)
    assert found is not None
    assert found.state is SignatureState.ALTERED


def test_keys_are_read_from_pem(tmp_path: Path) -> None:
    assert load_private_key(written(tmp_path / "a.key", KEY)).private_bytes_raw() == bytes(range(32))
    assert load_public_key(published(tmp_path / "a.pub", KEY)) == KEY.public_key()


def test_the_documented_lines_make_a_pair_of_keys(tmp_path: Path) -> None:
    for line in (
        "openssl genpkey -algorithm ed25519 -out reviewer.key",
        "openssl pkey -in reviewer.key -pubout -out reviewer.pub",
    ):
        assert line in (Path(__file__).resolve().parents[2] / "docs" / "REPORT.md").read_text()
        subprocess.run(line.split(), cwd=tmp_path, check=True, capture_output=True)
    assert load_private_key(tmp_path / "reviewer.key").public_key() == load_public_key(tmp_path / "reviewer.pub")


def test_a_key_of_another_kind_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be an ed25519 private key"):
        load_private_key(written(tmp_path / "x.key", Ed448PrivateKey.generate()))


def test_a_key_with_a_password_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without a password"):
        load_private_key(written(tmp_path / "x.key", KEY, BestAvailableEncryption(b"secret")))


@pytest.mark.parametrize("load", [load_private_key, load_public_key])
def test_a_missing_key_is_the_users_mistake(tmp_path: Path, load: type) -> None:
    with pytest.raises(UsageError, match="must be a readable"):
        load(tmp_path / "none.key")


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be an ed25519 public key"):
        load_public_key(written(tmp_path / "x.key", KEY))


def test_the_command_line_says_who_signed_and_rejects_the_wrong_key(pdf: Path, tmp_path: Path) -> None:
    signature_path(pdf).write_bytes(sign(pdf.read_bytes(), KEY))
    right, wrong = published(tmp_path / "a.pub", KEY), published(tmp_path / "b.pub", OTHER)
    accepted = CliRunner().invoke(app, ["verify", str(pdf), "--key", str(right)])
    assert accepted.exit_code == 0, accepted.output
    assert f"signed by {fingerprint(KEY.public_key())}" in accepted.output
    refused = CliRunner().invoke(app, ["verify", str(pdf), "--key", str(wrong)])
    assert refused.exit_code == 1
    assert "Verified" in refused.output
    assert "rejected: the report was signed by" in refused.output


def test_the_command_line_rejects_an_unsigned_report_when_a_signature_is_asked_for(pdf: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["verify", str(pdf), "--key", str(published(tmp_path / "a.pub", KEY))])
    assert found.exit_code == 1
    assert "there is no report.pdf.sig" in found.output


def test_report_signs_and_a_new_report_drops_the_old_signature(little_made: Material, tmp_path: Path) -> None:
    (tmp_path / "evidence.json").write_bytes(little_made.evidence[0].data)
    arguments = ["report", str(tmp_path / "evidence.json"), "--out", str(tmp_path), "--claims", str(EXAMPLE_CLAIMS)]
    key = written(tmp_path / "a.key", KEY)
    CliRunner().invoke(app, [*arguments, "--sign", str(key)])
    pdf = tmp_path / "report.pdf"
    found = check_signature(pdf.read_bytes(), signature_path(pdf), KEY.public_key())
    assert found is not None
    assert found.state is SignatureState.VALID
    CliRunner().invoke(app, arguments)
    assert not signature_path(pdf).exists()
