"""A certificate is known by its alternative names, and by its common name only where it has none, in the same way on both ports."""

from __future__ import annotations

import pytest

from antiphon.identity.certificate_names import names_in_grpc, names_in_ssl

CN = ((("organizationName", "Acme"),), (("commonName", "ann"),))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([("DNS", "a.example"), ("URI", "spiffe://acme/a"), ("email", "a@example.org")], ["spiffe://acme/a", "a.example", "a@example.org"]),
        ([("DNS", "b.example"), ("DNS", "a.example")], ["b.example", "a.example"]),
        ([("IP Address", "127.0.0.1")], []),
        ([], ["ann"]),
    ],
    ids=["every kind", "in the certificate's order", "an address is no name, and hides the common one", "none"],
)
def test_names(names: list[tuple[str, str]], expected: list[str]) -> None:
    certificate = {"subject": CN, **({"subjectAltName": tuple(names)} if names else {})}
    assert expected == list(names_in_ssl(certificate))
    keys = {"DNS": "peer_dns", "URI": "peer_uri", "email": "peer_email", "IP Address": "peer_ip"}
    properties: dict[str, list[bytes]] = {"x509_common_name": [b"ann"], "transport_security_type": [b"ssl"]}
    for kind, name in names:
        properties.setdefault(keys[kind], []).append(name.encode())
        properties.setdefault("x509_subject_alternative_name", []).append(name.encode())
    assert expected == list(names_in_grpc(properties))


def test_no_certificate_has_no_names() -> None:
    assert ([], (), ()) == (names_in_grpc({"security_level": [b"TSI_SECURITY_NONE"]}), names_in_ssl(None), names_in_ssl({}))


def test_a_name_that_is_no_text_is_read_as_far_as_it_goes() -> None:
    assert ["a\ufffd"] == names_in_grpc({"peer_dns": [b"a\xff"]})
