"""certificates.py - authorities and certificates for gateways, callers and workloads, by the openssl command."""
import os
import shutil
import ssl
import subprocess

from support import folder

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*argv):
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


def make_ca(name="ca"):
    to = f"{folder}/{name}"
    os.makedirs(to)
    openssl("req", "-x509", *NEW_KEY, "-keyout", f"{to}/ca.key", "-out", f"{to}/ca.crt", "-days", "1",
            "-subj", f"/CN={name}")
    return to


def sign(ca, to, name, alternative, days, key, cert):
    """Files key and cert in the folder `to`."""
    os.makedirs(to, exist_ok=True)
    with open(f"{to}/ext", "w", encoding="utf-8") as f:
        f.write(f"subjectAltName={alternative}\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl("req", *NEW_KEY, "-keyout", f"{to}/{key}", "-out", f"{to}/csr.pem", "-subj", f"/CN={name}")
    openssl("x509", "-req", "-in", f"{to}/csr.pem", "-CA", f"{ca}/ca.crt", "-CAkey", f"{ca}/ca.key",
            "-CAcreateserial", "-out", f"{to}/{cert}", "-days", str(days), "-extfile", f"{to}/ext")


def make_cert(ca, to, *hosts):
    """tls.crt and tls.key in the folder `to`."""
    sign(ca, to, hosts[0], ",".join(f"DNS:{h}" for h in hosts), 1, "tls.key", "tls.crt")
    return to


def mesh_cert(ca, to, account, days=1, domain="cluster.local"):
    """Istio's three files, put into the folder one after the other, as an agent that writes in place."""
    sign(ca, to, account, f"URI:spiffe://{domain}/ns/default/sa/{account}", days, "key.new", "chain.new")
    shutil.copy(f"{ca}/ca.crt", f"{to}/root-cert.pem")
    os.rename(f"{to}/key.new", f"{to}/key.pem")
    os.rename(f"{to}/chain.new", f"{to}/cert-chain.pem")
    return to


def make_spiffe(ca, to, account, domain="cluster.local"):
    """The same, for a day, of any trust domain."""
    return mesh_cert(ca, to, account, domain=domain)


def client_tls(ca, cert=None):
    context = ssl.create_default_context(cafile=f"{ca}/ca.crt")
    if cert:
        context.load_cert_chain(f"{cert}/tls.crt", f"{cert}/tls.key")
    return context


def revoke(ca, cert, to):
    """A list of revoked certificates that has this one, PEM."""
    db = f"{to}-db"
    with open(f"{db}.cnf", "w", encoding="utf-8") as f:
        f.write(f"[ca]\ndefault_ca=x\n[x]\ndatabase={db}.txt\ndefault_md=sha256\ndefault_crl_days=1\n")
    open(f"{db}.txt", "w", encoding="utf-8").close()
    common = ("ca", "-config", f"{db}.cnf", "-cert", f"{ca}/ca.crt", "-keyfile", f"{ca}/ca.key")
    openssl(*common, "-revoke", cert)
    openssl(*common, "-gencrl", "-out", to)
