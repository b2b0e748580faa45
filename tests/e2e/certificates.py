"""Certificates for tests, made by openssl: CAs, and what they sign."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, in files."""

    cert: Path
    key: Path


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"openssl {arguments[0]}: {done.stderr}")


def new_ca(folder: Path, name: str) -> Pair:
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2", "-subj", f"/CN={name}",
             "-keyout", pair.key, "-out", pair.cert)
    return pair


def new_certificate(folder: Path, ca: Pair, name: str, alternative: str = "", expired: bool = False) -> Pair:
    """One that `ca` signs; `alternative` is such as "DNS:shop.example,URI:spiffe://x/y"."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", f"/CN={name}", "-keyout", pair.key, "-out",
             request)
    extensions.write_text(f"subjectAltName={alternative}\n" if alternative else "basicConstraints=CA:FALSE\n")
    if not expired:
        _openssl("x509", "-req", "-in", request, "-CA", ca.cert, "-CAkey", ca.key, "-CAcreateserial", "-days", "2", "-extfile", extensions,
                 "-out", pair.cert)
        return pair
    # `x509` takes a time of the past in some versions only, and in each another way.
    settings, index = folder / f"{name}.cnf", folder / f"{name}.index"
    settings.write_text(f"[ca]\ndefault_ca = one\n[one]\ndatabase = {index}\nnew_certs_dir = {folder}\ndefault_md = sha256\n"
                        "rand_serial = yes\npolicy = any\n[any]\ncommonName = supplied\n")
    index.touch()
    _openssl("ca", "-batch", "-notext", "-config", settings, "-cert", ca.cert, "-keyfile", ca.key, "-startdate",
             "20200101000000Z", "-enddate", "20200102000000Z", "-in", request, "-extfile", extensions, "-out", pair.cert)
    return pair
