#!/usr/bin/env python3
"""ESP and AH packets by scapy, another implementation of both.

    scapy_packets.py seal          writes the packets that the engine's tests open: data/scapy/packets.json
    scapy_packets.py open < FILE   opens packets in the same form and says which it could not

`seal` needs scapy 2.6 or newer from PyPI; `open` leaves out what an older one, as Debian has it, cannot. Keys, IVs and texts come from one seed, so that `seal` repeats itself.
Algorithms are named by their IKEv2 numbers; bytes are in hexadecimal; a key has its salt behind it.
"""

import json
import logging
import os
import random
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers import ipsec  # noqa: E402
from scapy.all import (  # noqa: E402
    AH, ESP, IP, UDP, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, HBHOptUnknown, IPOption_NOP, IPOption_RR,
    IPOption_Router_Alert, IPOption_Timestamp, Raw, bind_layers, raw, conf, split_layers)

# IKEv2 number: name here, ICV (None: the algorithm's own), key lengths in bytes, salt.
ENCR = {
    2: ("DES", None, [8], 0), 3: ("3DES", None, [24], 0), 11: ("NULL", None, [0], 0),
    12: ("AES-CBC", None, [16, 24, 32], 0), 13: ("AES-CTR", None, [16, 24, 32], 4),
    14: ("AES-CCM", 8, [16, 24, 32], 3), 15: ("AES-CCM", 12, [16, 24, 32], 3), 16: ("AES-CCM", 16, [16, 24, 32], 3),
    20: ("AES-GCM", None, [16, 24, 32], 4), 21: ("AES-NULL-GMAC", None, [16, 24, 32], 4),
    28: ("CHACHA20-POLY1305", None, [32], 4),
}
AEAD = (14, 15, 16, 20, 21, 28)
# IKEv2 number: name here, key length.
INTEG = {
    1: ("HMAC-MD5-96", 16), 2: ("HMAC-SHA1-96", 20), 8: ("AES-CMAC-96", 16), 12: ("SHA2-256-128", 32),
    13: ("SHA2-384-192", 48), 14: ("SHA2-512-256", 64),
}
SHORT = {12: "SHA2-256-96", 13: "SHA2-384-96", 14: "SHA2-512-96"}
for number, name in SHORT.items():
    whole = ipsec.AUTH_ALGOS[INTEG[number][0]]
    ipsec.AUTH_ALGOS[name] = ipsec.AuthAlgo(name, mac=whole.mac, digestmod=whole.digestmod, icv_size=12,
                                            key_size=whole.key_size)

A4, B4, A6, B6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
GATEWAYS = {4: IP(src="198.51.100.1", dst="198.51.100.2"), 6: IPv6(src="2001:db8:ff::1", dst="2001:db8:ff::2")}
# Family of the inner and of the outer header; in transport mode there is one.
SHAPES = [("transport", 4, 4), ("transport", 6, 6), ("tunnel", 4, 4), ("tunnel", 6, 4), ("tunnel", 4, 6),
          ("tunnel", 6, 6)]

rng = random.Random(4302)


def inner(family, headers=False):
    udp = UDP(sport=1000, dport=2000) / Raw(rng.randbytes(rng.randrange(1, 24)))
    if family == 4:
        options = [IPOption_Router_Alert(), IPOption_NOP(), IPOption_RR(pointer=4, routers=["0.0.0.0"]),
                   IPOption_Timestamp(flg=0, length=8)] if headers else []
        return IP(src=A4, dst=B4, id=rng.randrange(1, 65536), ttl=rng.randrange(2, 255), tos=rng.randrange(0, 255, 4),
                  flags="DF", options=options) / udp
    packet = IPv6(src=A6, dst=B6, hlim=rng.randrange(2, 255), tc=rng.randrange(0, 255, 4), fl=rng.randrange(1 << 20))
    if headers:
        packet /= IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x3E, optdata=b"may change"),
                                              HBHOptUnknown(otype=0x1E, optdata=b"may not")])
        packet /= IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x3E, optdata=b"nor read")])
    return packet / udp


def esp_sa(case):
    name, icv, _, _ = ENCR[case["encr"]]
    gateway = GATEWAYS[case["outer"]] if case["mode"] == "tunnel" else None
    return ipsec.SecurityAssociation(
        ESP, case["spi"], crypt_algo=name, crypt_key=bytes.fromhex(case["encr_key"]) or None, crypt_icv_size=icv,
        auth_algo=auth(case["integ"], case), auth_key=bytes.fromhex(case["integ_key"]), tunnel_header=gateway,
        nat_t_header=UDP(sport=4500, dport=4500) if case["udp"] else None)


def ah_sa(case):
    # Around ESP, whose outer header is there already, AH goes behind that.
    gateway = GATEWAYS[case["outer"]] if case["mode"] == "tunnel" and not case["encr"] else None
    return ipsec.SecurityAssociation(AH, case["spi"], auth_algo=auth(case["ah"], case),
                                     auth_key=bytes.fromhex(case["ah_key"]), tunnel_header=gateway)


def auth(number, case):
    if not number:
        return None
    return SHORT[number] if case["short_icv"] else INTEG[number][0]


def numbers(case):
    return {"esn_en": case["high"] is not None, "esn": case["high"] or 0}


def ip(packet):
    return (IP if packet[0] >> 4 == 4 else IPv6)(packet)


def hide_esp():
    """scapy signs ESP where it finds any; inside AH it must be mere bytes."""
    split_layers(IP, ESP)
    split_layers(IPv6, ESP)
    split_layers(AH, ESP)


def show_esp():
    bind_layers(IP, ESP, proto=50)
    bind_layers(IPv6, ESP, nh=50)


def seal(case):
    packet = ip(bytes.fromhex(case["clear"]))
    if case["encr"]:
        size = ipsec.CRYPT_ALGOS[ENCR[case["encr"]][0]].iv_size
        packet = esp_sa(case).encrypt(packet, seq_num=case["seq"], iv=rng.randbytes(size), **numbers(case))
    if case["ah"]:
        hide_esp()
        packet = ah_sa(case).encrypt(ip(raw(packet)), seq_num=case["seq"], **numbers(case))
        show_esp()
    return raw(packet).hex()


def unseal(case):
    packet = bytes.fromhex(case["sealed"])
    if case["ah"]:
        hide_esp()
        packet = raw(ah_sa(case).decrypt(ip(packet), **numbers(case)))
        show_esp()
    if case["encr"]:
        packet = raw(esp_sa(case).decrypt(ip(packet), **numbers(case)))
    return packet.hex()


def case(mode, clear, outer, encr=0, bits=0, integ=0, ah=0, extended=False, udp=False, short_icv=False, headers=False):
    key = lambda number: rng.randbytes(INTEG[number][1]).hex() if number else ""
    return {
        "mode": mode, "outer": outer, "encr": encr, "bits": bits, "integ": integ, "ah": ah, "udp": udp,
        "short_icv": short_icv, "spi": rng.randrange(256, 1 << 32), "seq": rng.randrange(1, 1 << 32),
        "high": rng.randrange(1, 1 << 32) if extended else None,
        "encr_key": rng.randbytes(bits // 8 + ENCR[encr][3]).hex() if encr else "",
        "integ_key": key(integ), "ah_key": key(ah), "clear": raw(inner(clear, headers)).hex(),
    }


def esp_algorithms():
    for encr, (_, _, lengths, _) in ENCR.items():
        for length in lengths:
            integs = [0] if encr in AEAD else list(INTEG) if (encr, length) == (12, 16) else [2, 12] if encr == 11 else [12]
            yield from (dict(encr=encr, bits=length * 8, integ=integ) for integ in integs)


def cases():
    for algorithms in esp_algorithms():
        for shape in SHAPES:
            yield from (case(*shape, **algorithms, extended=extended) for extended in (False, True))
        yield case("tunnel", 4, 4, **algorithms, udp=True)
    for ah in INTEG:
        for shape in SHAPES:
            for extended in (False, True):
                yield case(*shape, ah=ah, extended=extended)
                if shape[0] == "transport":
                    yield case(*shape, ah=ah, extended=extended, headers=True)
    # scapy builds the outer header of ESP and AH in two steps, so a bundle in tunnel mode is a tunnel inside AH.
    both = list(esp_algorithms())
    for n, shape in enumerate(SHAPES * 6):
        algorithms = both[n % len(both)]
        yield case(*shape, ah=list(INTEG)[n % len(INTEG)], extended=n % 4 > 1, **algorithms)
    for integ in SHORT:
        yield case("tunnel", 4, 4, encr=12, bits=128, integ=integ, short_icv=True)
        yield case("transport", 6, 6, ah=integ, extended=True, short_icv=True)


def beyond(case):
    """What scapy before 2.6 does wrong: the upper half of the number under a separate ICV of ESP, and ESP with GMAC."""
    old = [int(part) for part in conf.version.split(".")[:2]] < [2, 6]
    return old and (case["encr"] == 21 or bool(case["encr"] and case["integ"] and case["high"] is not None))


def main():
    if sys.argv[1:] == ["seal"]:
        lines = []
        for made in cases():
            made["sealed"] = seal(made)
            assert unseal(made) == made["clear"], made
            lines.append(json.dumps(made, separators=(",", ":")))
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "scapy", "packets.json")
        with open(path, "w") as out:
            out.write("[\n" + ",\n".join(lines) + "\n]\n")
        print(f"{len(lines)} packets")
    elif sys.argv[1:] == ["open"]:
        failed = 0
        given = json.load(sys.stdin)
        packets = [packet for packet in given if not beyond(packet)]
        for number, packet in enumerate(packets):
            try:
                opened = unseal(packet)
            except Exception as error:  # scapy raises whatever its layers raise
                opened = repr(error)
            if opened != packet["clear"]:
                failed += 1
                print(f"packet {number}: {opened} instead of {packet['clear']}: {packet}")
        print(f"{len(packets) - failed} of {len(packets)} packets opened, {len(given) - len(packets)} left out")
        sys.exit(failed > 0)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
