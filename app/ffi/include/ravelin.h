/*
 * Ravelin: IPsec under any IP stack.
 *
 * Every function returns an RvlStatus and does nothing when that is not RVL_STATUS_OK. Handles are numbers: a wrong or
 * freed one is an error. Pointers must be null (an error where the text does not allow it) or point to what the text
 * says, for the time of the call alone. Functions may be called from several threads; those on one handle take turns.
 * Times are nanoseconds of one monotonic clock of the caller.
 */

#ifndef RAVELIN_H
#define RAVELIN_H

/* Made by `cargo xtask header` from app/ffi/src; changes here are lost. */

#include <stddef.h>
#include <stdint.h>

// Hardware does nothing for the packets of an SA.
#define RVL_SHARE_NOTHING 0

// Hardware encrypts and authenticates ESP packets that are ready for it, or verifies and decrypts them.
#define RVL_SHARE_CIPHER 1

// Hardware protects and opens whole packets: headers, padding, cipher, ICV.
#define RVL_SHARE_WHOLE 2

// The packet of a job is as it should be.
#define RVL_JOB_OK 0

// The packet does not verify; it is dropped.
#define RVL_JOB_FORGED 1

// Hardware did not do the job; software does it, from the pieces of the request.
#define RVL_JOB_FAILED 2

// `IPSEC_POLICY_DROP`
#define RVL_POLICY_DROP 1

// `IPSEC_POLICY_BYPASS`
#define RVL_POLICY_BYPASS 2

// `IPSEC_POLICY_SECURE_TUNNEL`
#define RVL_POLICY_SECURE_TUNNEL 3

// `IPSEC_POLICY_SECURE_TRANSPORT`
#define RVL_POLICY_SECURE_TRANSPORT 4

// `SP_PROTO_AH`
#define RVL_SP_PROTO_AH 1

// `SP_PROTO_ESP`
#define RVL_SP_PROTO_ESP 2

// `SP_CHECK_REPLAY`
#define RVL_SP_CHECK_REPLAY 4

// `SP_CHECK_ESP_PAD`
#define RVL_SP_CHECK_ESP_PAD 8

// `SP_FULL_ECN`
#define RVL_SP_FULL_ECN 16

// `SP_DF_COPY`
#define RVL_SP_DF_COPY 32

// `SP_DF_SET`
#define RVL_SP_DF_SET 64

// `SP_KEYNEG_MANUAL`
#define RVL_SP_KEYNEG_MANUAL 128

// `SP_TX_DUMMY_PKT`
#define RVL_SP_TX_DUMMY_PKT 256

// `SP_TX_TFC_PADDING`
#define RVL_SP_TX_TFC_PADDING 512

// `SP_AUTH_SHA2_ICV_SHORT`
#define RVL_SP_AUTH_SHA2_ICV_SHORT 1024

// The longest message, with room for which a buffer is never too small.
#define RVL_MAX_MESSAGE 1024

// A packet without a policy passes in the clear.
#define RVL_NO_MATCH_BYPASS 0

// A packet without a policy is dropped.
#define RVL_NO_MATCH_DISCARD 1

// Objects that may live at one time.
#define RVL_MAX_HANDLES 256

// Numbers of policies from this one on are given to those that lines make.
#define RVL_FIRST_LINE_POLICY 2147483648

// The outer header says nothing of congestion (compatibility mode of RFC 6040).
#define RVL_NO_ECN 1

// The bytes of ESP padding are not looked at.
#define RVL_NO_PAD_CHECK 2

// HMAC-SHA-2 has an ICV of 96 bits.
#define RVL_SHORT_ICV 4

// What is too long for the path is cut after protection, by the stack, and not before.
#define RVL_FRAGMENT_AFTER 8

// The DSCP of the outer header is `dscp`, not that of the inner one.
#define RVL_SET_DSCP 16

// ESP in UDP over IPv6 goes without a UDP checksum.
#define RVL_ZERO_CHECKSUM 32

// AH is padded to 64 bits in IPv4 too.
#define RVL_AH_ALIGN64 64

// Tunnel mode with ports in the selectors: later fragments go over the SA too, as both ends agreed.
#define RVL_LATER_FRAGMENTS 128

// The don't-fragment flag of an outer IPv4 header is not set.
#define RVL_DF_CLEAR 0

// It is that of the inner header.
#define RVL_DF_COPY 1

// It is set.
#define RVL_DF_SET 2

// Free bytes to have before an outbound packet.
#define RVL_HEADROOM 128

// Free bytes to have behind an outbound packet.
#define RVL_TAILROOM 64

// Protect outbound, require protection inbound.
#define RVL_PROTECT 0

// Let pass in the clear.
#define RVL_BYPASS 1

// Drop.
#define RVL_DISCARD 2

// The policy is about packets that leave and packets that arrive.
#define RVL_BOTH_WAYS 0

// It is about packets that leave: SPD-O of RFC 4301 §4.4.1.
#define RVL_OUTBOUND_ONLY 1

// It is about packets that arrive: SPD-I.
#define RVL_INBOUND_ONLY 2

// ESP around a whole packet, in a new IP header.
#define RVL_TUNNEL 0

// ESP behind the IP header of the packet.
#define RVL_TRANSPORT 1

// Sockets that are wanted for one RADIUS server at most: `socket` of an output is below it.
#define RVL_RADIUS_SOCKETS 16

// This host sends.
#define RVL_OUTBOUND 0

// This host receives.
#define RVL_INBOUND 1

// What became of a call: 0, or why nothing was done. 1 to 33 are the error codes of the toolkit's document in the order of
// its list; a packet's reason is one of them too.
enum RvlStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  RVL_STATUS_OK = 0,
  // The ICV of an AH packet does not verify.
  RVL_STATUS_AH_DIGEST_MISMATCH = 1,
  // No address, an address range that runs backwards, or has a mask with a gap; a policy of two address families.
  RVL_STATUS_BAD_ADDR_RANGE = 2,
  // No SA has the SPI of an AH packet, or the SPI is reserved.
  RVL_STATUS_BAD_AH_SPI = 3,
  // No SA has the SPI of an ESP packet, or the SPI is reserved.
  RVL_STATUS_BAD_ESP_SPI = 4,
  // An identity of an unknown type.
  RVL_STATUS_BAD_ID_TYPE = 5,
  // The padding of an authentic ESP packet is wrong.
  RVL_STATUS_BAD_PAD_DATA = 6,
  // A parameter that makes no sense.
  RVL_STATUS_BAD_PARAM = 7,
  // A port that is no number of 16 bits, a port range that runs backwards, or a port for a protocol without ports.
  RVL_STATUS_BAD_PORT_NUMBER = 8,
  // Replayed, too old, or no number is left to send with.
  RVL_STATUS_BAD_SEQUENCE_NUMBER = 9,
  // The SA is there and cannot be used.
  RVL_STATUS_BAD_SESS_ERR = 10,
  // The packet that came out is cut short.
  RVL_STATUS_DST_OUT_OF_DATA = 11,
  // No room for what protection adds.
  RVL_STATUS_DST_OUT_OF_SPACE = 12,
  // The ICV of an ESP packet does not verify.
  RVL_STATUS_ESP_DIGEST_MISMATCH = 13,
  // The same is there already.
  RVL_STATUS_EXIST = 14,
  // An SA with AH got a packet without it.
  RVL_STATUS_EXPECTED_AH_PROTO = 15,
  // An SA with ESP got a packet without it.
  RVL_STATUS_EXPECTED_ESP_PROTO = 16,
  // A clear packet where a policy asks for protection.
  RVL_STATUS_INBOUND_EXPECTED_SECURE_PACKET = 17,
  // Protected by an SA that may not carry it.
  RVL_STATUS_INBOUND_POLICY_FAILURE = 18,
  // Protected, where a policy wants it in the clear or not at all.
  RVL_STATUS_INBOUND_UNEXPECTED_SECURED_PACKET = 19,
  // The packet waits for an SA.
  RVL_STATUS_KEYNEG_INPROGRESS = 20,
  // Larger than the path takes.
  RVL_STATUS_MTU_EXCEEDED = 21,
  // The system has no more to give.
  RVL_STATUS_NOMEM = 22,
  // Too short to be what it says.
  RVL_STATUS_NO_DATA = 23,
  // No packet is left in the pool.
  RVL_STATUS_OUT_OF_PACKETS = 24,
  // The SPD is full.
  RVL_STATUS_OUT_OF_POLICIES = 25,
  // Too many requests are open.
  RVL_STATUS_OUT_OF_REQS = 26,
  // The SAD is full.
  RVL_STATUS_OUT_OF_SESSIONS = 27,
  // No such policy, or none matches.
  RVL_STATUS_POLICY_NOT_FOUND = 28,
  // No such SA.
  RVL_STATUS_SA_NOT_FOUND = 29,
  // The SA cannot send dummy packets.
  RVL_STATUS_SESS_UNAVL_FOR_DUMMY_TX = 30,
  // The packet that came in is cut short.
  RVL_STATUS_SRC_OUT_OF_DATA = 31,
  // An algorithm that is not there, or a key of a length that it does not take.
  RVL_STATUS_UNKNOWN_ALGORITHM = 32,
  // A protocol that cannot be here.
  RVL_STATUS_UNKNOWN_IP_PROTOCOL = 33,
  // A pointer is null that must not be.
  RVL_STATUS_NULL = 64,
  // A pointer is not aligned for what it points to, or a length is beyond any memory.
  RVL_STATUS_BAD_POINTER = 65,
  // The handle was never given out, is of another kind, or was freed.
  RVL_STATUS_BAD_HANDLE = 66,
  // Called from a callback of another call.
  RVL_STATUS_REENTERED = 67,
  // No handle is left.
  RVL_STATUS_OUT_OF_HANDLES = 68,
  // Nothing to report.
  RVL_STATUS_EMPTY = 69,
  // The buffer of the caller is too small; nothing was taken off the queue.
  RVL_STATUS_TOO_SMALL = 70,
  // A fault of this library. The handle is of no use any more but to be freed.
  RVL_STATUS_INTERNAL = 71,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum RvlStatus RvlStatus;
#else
typedef int32_t RvlStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The policy that was applied to a packet, and so what to do with it.
enum RvlVerdict
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Go on with the packet, which is as it was.
  RVL_VERDICT_BYPASS = 0,
  // Throw the packet away; `RvlResult.reason` says why.
  RVL_VERDICT_DROP = 1,
  // Outbound: send the packet, fragmented if need be. Inbound: begin IP processing anew with the inner packet.
  RVL_VERDICT_SECURE_TUNNEL = 2,
  // Outbound: send the packet, fragmented if need be. Inbound: go on with the packet.
  RVL_VERDICT_SECURE_TRANSPORT = 3,
  // Outbound: keep the packet, which is as it was, and offer it again once there is an SA, or throw it away. An event
  // has asked for the SA.
  RVL_VERDICT_HOLD = 4,
  // Outbound: once protected the packet, which is as it was, would be too long for its path. Cut it into fragments of
  // at most `RvlResult.fragment_size` bytes and offer each.
  RVL_VERDICT_FRAGMENT = 5,
  // Outbound: too long for its path, and not to be cut. The buffer has an ICMP message to its sender: take it as if it
  // had arrived.
  RVL_VERDICT_TOO_BIG = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum RvlVerdict RvlVerdict;
#else
typedef int32_t RvlVerdict;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The kind of an event.
enum RvlEventKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A packet of the flow `source`, `destination`, `protocol`, `source_port`, `destination_port` needs an SA for
  // `policy`.
  RVL_EVENT_KIND_ACQUIRE = 0,
  // The SA `direction`, `spi`, `destination` is to be replaced soon.
  RVL_EVENT_KIND_SOFT_EXPIRE = 1,
  // That SA is out of use.
  RVL_EVENT_KIND_HARD_EXPIRE = 2,
  // An authentic packet of that inbound SA came from the new address `source` and port `source_port`.
  RVL_EVENT_KIND_PEER_MOVED = 3,
  // That SA carried nothing for the time that its lifetime gives.
  RVL_EVENT_KIND_IDLE = 4,
  // A packet used that SA after a silence; an endpoint that follows the engine wants to know.
  RVL_EVENT_KIND_USED = 5,
  // A packet of that inbound SA was dropped, because it is not within the SA's selectors; an endpoint that follows the engine
  // tells the peer.
  RVL_EVENT_KIND_OUTSIDE_SELECTORS = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum RvlEventKind RvlEventKind;
#else
typedef int32_t RvlEventKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The kind of an output.
enum RvlIkeOutputKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Nothing more to do until an input comes or `deadline` passes; `UINT64_MAX` for none.
  RVL_IKE_OUTPUT_KIND_WAIT = 0,
  // Send the datagram in the buffer from `local` to `remote`.
  RVL_IKE_OUTPUT_KIND_TRANSMIT = 1,
  // An event; the buffer has the name of the peer where there is one, or what went wrong. No zero byte ends it.
  RVL_IKE_OUTPUT_KIND_EVENT = 2,
  // Send the packet in the buffer to the RADIUS server `remote`, from the UDP socket `socket` that the caller has for this server
  // alone; what arrives there is for `rvl_ike_radius_receive`.
  RVL_IKE_OUTPUT_KIND_RADIUS = 3,
  // Look up the name of a host in the buffer, which no zero byte ends, and say with `rvl_ike_host_found` where it leads.
  RVL_IKE_OUTPUT_KIND_LOOK_UP = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum RvlIkeOutputKind RvlIkeOutputKind;
#else
typedef int32_t RvlIkeOutputKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The kind of an event.
enum RvlIkeEvent
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The output is no event.
  RVL_IKE_EVENT_NONE = 0,
  // An IKE SA is there.
  RVL_IKE_EVENT_IKE_UP = 1,
  // An IKE SA replaced another.
  RVL_IKE_EVENT_IKE_REKEYED = 2,
  // An IKE SA is gone, and its other SAs with it.
  RVL_IKE_EVENT_IKE_DOWN = 3,
  // SAs for `policy` are in the engine.
  RVL_IKE_EVENT_CHILD_UP = 4,
  // SAs for `policy` replaced others.
  RVL_IKE_EVENT_CHILD_REKEYED = 5,
  // SAs for `policy` are gone.
  RVL_IKE_EVENT_CHILD_DOWN = 6,
  // An exchange failed; the text says what did not meet.
  RVL_IKE_EVENT_FAILED = 7,
  // An IKE SA goes on between other addresses; those are `local` and `remote` of the output.
  RVL_IKE_EVENT_IKE_MOVED = 8,
  // The peer gave internal addresses to this host, for the packets of policies whose source is `internal`: they are to be there
  // before the first SA is. Behind the name of the peer the text has a line for each attribute (RFC 7296 §3.15.1), its
  // name and its value: `INTERNAL_IP4_ADDRESS 10.3.0.1`, `INTERNAL_IP4_DNS 10.1.0.53`, `INTERNAL_IP4_SUBNET 10.1.0.0/16`,
  // `INTERNAL_DNS_DOMAIN example.org`; values of other kinds are hexadecimal digits.
  RVL_IKE_EVENT_GRANTED = 9,
  // The IKE SA that they came with is gone. The text is as with `GRANTED`; another one may have come with the same.
  RVL_IKE_EVENT_GRANT_ENDED = 10,
  // The peer is sought at another of its addresses, `remote`, because the last one does not answer or says so; no address where
  // it is a name that is looked up.
  RVL_IKE_EVENT_OTHER_GATEWAY = 11,
  // Where a name leads is known, or has changed. The text is the name, and a line for each address.
  RVL_IKE_EVENT_HOST_FOUND = 12,
  // A name leads nowhere: it was asked for and not found. The text is the name.
  RVL_IKE_EVENT_HOST_NOT_FOUND = 13,
  // A packet of SAs for `policy` was not within their selectors, here or at the peer, which said so; the text says which. The SAs
  // stay.
  RVL_IKE_EVENT_OUTSIDE_SELECTORS = 14,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum RvlIkeEvent RvlIkeEvent;
#else
typedef int32_t RvlIkeEvent;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Stands for an object of the library; 0 is none.
typedef uint64_t RvlHandle;

// A message and where it is written.
typedef struct RvlMessage {
  // Room for the message.
  uint8_t *buffer;
  // Bytes there.
  size_t capacity;
  // The number that the reply will have.
  uint16_t sequence;
  // Set by the call: bytes of the message.
  size_t length;
} RvlMessage;

// One buffer of a chain.
typedef struct RvlPiece {
  // Its bytes.
  const uint8_t *data;
  // How many.
  size_t length;
} RvlPiece;

// A packet in pieces, and a buffer that it would fit in. What is protected or opened stays in its pieces, whose bytes are
// changed there; of the buffer only what stands at both ends of the packet is used: its headers before, its trailer behind.
// The packet is then `front_length` bytes of the buffer, `middle_length` bytes of the pieces, `back_length` bytes of the
// buffer. Where the engine has to have it in one piece (compression, headers beyond the first 256 bytes), all of it is in front.
typedef struct RvlChain {
  // The packet: buffers of any size.
  const struct RvlPiece *pieces;
  // Number of pieces.
  size_t piece_count;
  // Room for `RVL_HEADROOM`, the packet and `RVL_TAILROOM`. Nothing need be there.
  uint8_t *buffer;
  // Bytes in the buffer.
  size_t capacity;
  // As in `RvlPacket`.
  uint16_t domain;
  // As in `RvlPacket`.
  uint32_t mark;
  // Result: where the packet begins in the buffer.
  size_t front_offset;
  // Result: so many bytes stand there.
  size_t front_length;
  // Result: so many bytes of the pieces, counted from the first byte of the first, are not of the packet any more.
  size_t middle_offset;
  // Result: so many bytes behind those are.
  size_t middle_length;
  // Result: where the end of the packet stands in the buffer.
  size_t back_offset;
  // Result: its length.
  size_t back_length;
} RvlChain;

// An IP address.
typedef struct RvlAddress {
  // 4 or 6; 0: no address.
  uint8_t family;
  // In network order; of IPv4 the first four count.
  uint8_t bytes[16];
} RvlAddress;

// What became of a packet.
typedef struct RvlResult {
  // The policy applied.
  RvlVerdict verdict;
  // With `Drop` and `Hold` the error that corresponds, or 0 where nothing is wrong (a policy, a keepalive).
  RvlStatus reason;
  // With `Hold`, the policy that waits for an SA.
  uint32_t policy;
  // With `Fragment`, the most bytes of a fragment.
  uint16_t fragment_size;
  // Outbound, protected: source of the outer header.
  struct RvlAddress source;
  // Outbound, protected: destination of the outer header, by which to route.
  struct RvlAddress destination;
  // Outbound, protected in UDP: the ports, else 0.
  uint16_t source_port;
  // See `source_port`.
  uint16_t destination_port;
  // Outbound, protected: where ESP begins in the packet.
  size_t esp_offset;
} RvlResult;

// Fills `out` with `len` unpredictable bytes and returns 0; anything else is a failure, which ends the use of the
// handle. It must not call functions of this library.
typedef int32_t (*RvlRandom)(void *context, uint8_t *out, size_t len);

// An SA of which hardware may have a share. What it points to is there for the time of the callback.
typedef struct RvlAcceleratedSa {
  // `RVL_OUTBOUND` or `RVL_INBOUND`.
  uint32_t direction;
  // The label on the wire.
  uint32_t spi;
  // The most that hardware may have: `RVL_SHARE_...`.
  uint32_t most;
  // `RVL_TUNNEL` or `RVL_TRANSPORT`.
  uint32_t mode;
  // The sender's address.
  struct RvlAddress from;
  // The receiver's address.
  struct RvlAddress to;
  // ESP in UDP: the ports of its header, both 0 for no UDP.
  uint16_t source_port;
  // See `source_port`.
  uint16_t destination_port;
  // Number of the cipher among IANA's transforms of type 1 (IKEv2).
  uint16_t encryption;
  // Number of the integrity algorithm among those of type 3; 0 with a cipher that authenticates.
  uint16_t integrity;
  // 1 for 64-bit sequence numbers, 0 for 32-bit ones.
  uint8_t extended_sequence;
  // The key of the cipher, with the salt of counter-mode ciphers at the end.
  const uint8_t *encryption_key;
  // Bytes of it.
  size_t encryption_key_len;
  // The key of the integrity algorithm.
  const uint8_t *integrity_key;
  // Bytes of it.
  size_t integrity_key_len;
} RvlAcceleratedSa;

// Work on one packet.
typedef struct RvlJob {
  // Its number, for `rvl_job_done`.
  uint64_t job;
  // What is to be done of it: `RVL_SHARE_CIPHER` or `RVL_SHARE_WHOLE`, as was taken of the SA.
  uint32_t share;
  // `RVL_OUTBOUND`: encrypt; `RVL_INBOUND`: decrypt.
  uint32_t direction;
  // The SA's label.
  uint32_t spi;
  // The SA's receiver.
  struct RvlAddress to;
  // The whole sequence number: the IV of algorithms that have none in the packet, and what the ICV covers with 64-bit
  // numbers.
  uint64_t sequence;
  // The result buffer of the request. It is the hardware's until the job is done.
  uint8_t *buffer;
  // Bytes in the buffer.
  size_t capacity;
  // Where the packet begins. `RVL_SHARE_CIPHER`, outbound: the packet as it will be sent, IV in place, text and trailer
  // in the clear, room for the ICV at its end.
  size_t offset;
  // Bytes of the packet.
  size_t length;
  // Where ESP begins in the packet; it goes to the packet's end. 0 in one that is to be protected whole.
  size_t esp_offset;
} RvlJob;

// The hardware, as callbacks. They are called from within other calls, on their threads, and must not call functions of
// this library; none may be null.
typedef struct RvlAccelerator {
  // Handed to each.
  void *context;
  // An SA was added: which share of it hardware takes, at most `most`.
  uint32_t (*add)(void *context, const struct RvlAcceleratedSa *sa);
  // The SA is no longer its work. Jobs of it may still finish.
  void (*remove)(void *context, uint32_t direction, uint32_t spi, const struct RvlAddress *to);
  // Begins with a job and returns 0; anything else: there is no room for it now, and software does it.
  int32_t (*submit)(void *context, const struct RvlJob *job);
} RvlAccelerator;

// The algorithms of ESP SAs.
typedef struct RvlSuite {
  // As in `RvlSa`.
  const char *encryption;
  // As in `RvlSa`.
  const char *integrity;
  // As in `RvlSa`.
  uint8_t extended_sequence;
} RvlSuite;

// How an engine behaves.
typedef struct RvlEngineConfig {
  // `RVL_NO_MATCH_...`
  uint32_t no_match;
  // Fills IVs and seeds hash tables. Called from within other calls, on their threads.
  RvlRandom random;
  // Handed to `random`.
  void *random_context;
  // How many packets may be submitted and not yet completed.
  uint32_t max_requests;
  // The most policies; 0: a million.
  uint32_t max_policies;
  // The most SAs in each direction; 0: a million.
  uint32_t max_sas;
  // The most events that wait in each direction, and acquires that wait for an SA; 0: many.
  uint32_t max_events;
  // Sets of two or three flows that are remembered for each family and direction; 0: as many as there are SAs.
  uint32_t flow_sets;
  // Hardware for packets that are submitted; null: there is none.
  const struct RvlAccelerator *accelerator;
  // The most selectors on one side of a policy or SA; 0: many. The structs here have one, or two for `any`.
  uint32_t max_selectors;
  // The largest anti-replay window; 0: 4096.
  uint32_t max_replay_window;
  // The suites of the SAs, for an engine that asks for no memory once it is made: all that the limits allow is taken then,
  // so the most of policies, SAs, events and selectors must be given. No function of this header whose object is the engine
  // asks for memory or gives some back from then on, but for SAs of other suites and for strings that are wrong. (The cipher
  // library takes a little for each thread that meets its first forged packet.) Null: memory is taken when it is needed.
  const struct RvlSuite *suites;
  // How many.
  size_t suite_count;
} RvlEngineConfig;

// What became of the packets of one direction so far.
typedef struct RvlCounters {
  // Protected on the way out, opened on the way in.
  uint64_t protected_packets;
  // Passed in the clear.
  uint64_t bypassed;
  // Put on hold for want of an SA.
  uint64_t held;
  // Dropped, for whatever reason.
  uint64_t dropped;
} RvlCounters;

// An event. What its kind does not name is 0.
typedef struct RvlEvent {
  // What happened.
  RvlEventKind kind;
  // The policy.
  uint32_t policy;
  // `RVL_OUTBOUND` or `RVL_INBOUND`.
  uint32_t direction;
  // The label of the SA.
  uint32_t spi;
  // An address.
  struct RvlAddress source;
  // An address; with an SA its receiver's.
  struct RvlAddress destination;
  // Next layer protocol.
  uint8_t protocol;
  // Port, 0 where the packet shows none.
  uint16_t source_port;
  // See `source_port`.
  uint16_t destination_port;
} RvlEvent;

// When an SA is to be replaced and when it goes out of use. 0 is no limit.
typedef struct RvlLifetime {
  // Replace after this many seconds.
  uint64_t soft_seconds;
  // Replace after this many bytes of payload.
  uint64_t soft_bytes;
  // Replace after this many packets.
  uint64_t soft_packets;
  // End after this many seconds.
  uint64_t hard_seconds;
  // End after this many bytes of payload.
  uint64_t hard_bytes;
  // End after this many packets.
  uint64_t hard_packets;
} RvlLifetime;

// Options; all 0 are the usual ones.
typedef struct RvlOptions {
  // `RVL_NO_ECN` and the others, added.
  uint32_t flags;
  // `RVL_DF_...`, tunnel mode.
  uint32_t df;
  // With `RVL_SET_DSCP`, 0 to 63.
  uint8_t dscp;
  // TTL or hop limit of the outer header; 0: 64.
  uint8_t hop_limit;
  // The longest packet that the path takes, outer header included; 0: not known.
  uint16_t mtu;
  // The segment size of TCP handshakes is lowered to this; 1: to what fits the path; 0: left alone.
  uint16_t mss;
  // Random padding of fewer bytes than this hides the length of packets.
  uint16_t tfc;
} RvlOptions;

// One entry of the SPD. Selectors are given as for outbound packets.
typedef struct RvlPolicy {
  // Chosen by the caller, unique, below `RVL_FIRST_LINE_POLICY`.
  uint32_t id;
  // The SPD it stands in, 0 where there is only one.
  uint16_t domain;
  // Lower numbers are consulted first, then lower ids.
  uint32_t priority;
  // `RVL_PROTECT`, `RVL_BYPASS` or `RVL_DISCARD`.
  uint32_t action;
  // Next layer protocol, 0 for any.
  uint8_t protocol;
  // Identity string of the source: `any`, `any6`, `10.0.0.1`, `10.0.0.0/24`, `10.0.0.0/255.255.255.0`,
  // `10.0.0.4-10.0.0.9`, `2001:db8::/32`, each with `,port` or `,first-last` behind.
  const char *source;
  // Identity string of the destination, of the same address family.
  const char *destination;
  // With `RVL_BYPASS` and `RVL_DISCARD`: `RVL_BOTH_WAYS`, `RVL_OUTBOUND_ONLY` or `RVL_INBOUND_ONLY`.
  uint32_t ways;
  // `RVL_TUNNEL` or `RVL_TRANSPORT`. This and what follows only with `RVL_PROTECT`.
  uint32_t mode;
  // The other end of the SAs: an address.
  const char *endpoint;
  // Number of packets the anti-replay window covers, 0 for no check.
  uint32_t replay_window;
  // For SAs that IKE makes.
  struct RvlLifetime lifetime;
  // What else is wanted.
  struct RvlOptions options;
} RvlPolicy;

// An address and a port.
typedef struct RvlEndpoint {
  // The address.
  struct RvlAddress address;
  // The UDP port.
  uint16_t port;
} RvlEndpoint;

// One output of an endpoint. What its kind does not name is 0.
typedef struct RvlIkeOutput {
  // What it is.
  RvlIkeOutputKind kind;
  // Bytes in the buffer.
  size_t length;
  // Where a datagram is sent from.
  struct RvlEndpoint local;
  // Where it is sent to.
  struct RvlEndpoint remote;
  // When to call `rvl_ike_timer`.
  uint64_t deadline;
  // The number of a socket to a RADIUS server, below `RVL_RADIUS_SOCKETS`.
  uint32_t socket;
  // Which event.
  RvlIkeEvent event;
  // The policy of an event.
  uint32_t policy;
  // SPI of the inbound SA of an event.
  uint32_t inbound;
  // SPI of the outbound SA of an event.
  uint32_t outbound;
} RvlIkeOutput;

// A packet somewhere inside a buffer of the caller. The engine grows and shrinks it in place, and moves `offset` and
// `length` accordingly; it never reads or writes outside the buffer.
typedef struct RvlPacket {
  // The buffer.
  uint8_t *buffer;
  // Bytes in the buffer.
  size_t capacity;
  // Where the packet begins.
  size_t offset;
  // Bytes of the packet.
  size_t length;
  // Whose SPD decides about it, 0 where there is only one. What was opened is in the domain of its SA's policy.
  uint16_t domain;
  // 0 for a packet that the engine has not seen. Keep it with the packet: it is how a packet that is offered again is
  // not protected twice.
  uint32_t mark;
} RvlPacket;

// What the SPD says about a packet.
typedef struct RvlDisposition {
  // What would become of the packet, as far as the SPD decides it.
  RvlVerdict verdict;
  // With `Drop` the error that corresponds, or 0 where a policy wants it so.
  RvlStatus reason;
  // 1 when a policy decides.
  uint8_t has_policy;
  // The policy that decides.
  uint32_t policy;
} RvlDisposition;

// A peer. Lists of algorithms are names with commas between, best first; null for the defaults.
typedef struct RvlRemote {
  // The caller's name for it, unique.
  const char *name;
  // This host's address towards it.
  const char *local;
  // Its address or name; a name is looked up by the caller, as `rvl_ike_poll` asks.
  const char *remote;
  // Who this host says it is: `fqdn:gw.example.org`, `rfc822:a@example.org`, `ipv4:192.0.2.1`, `keyid:0102`.
  const char *local_id;
  // Who the peer must say it is.
  const char *remote_id;
  // The pre-shared key.
  const uint8_t *secret;
  // Bytes of it.
  size_t secret_len;
  // Ciphers: `AES256-GCM,AES128-CBC`.
  const char *encryption;
  // Integrity algorithms, for ciphers that do not authenticate: `HMAC-SHA-2-256`.
  const char *integrity;
  // Pseudorandom functions: `HMAC-SHA-2-256`.
  const char *prf;
  // Key exchange groups: `CURVE25519,ECP256`.
  const char *key_exchange;
  // Age in seconds at which the IKE SA is replaced, at least 60.
  uint32_t lifetime;
  // Ask whether it lives when something is sent to it after so many seconds of silence; 0: never.
  uint32_t liveness;
} RvlRemote;

// A packet to be processed. The pieces and the result buffer belong to the library until the completion is polled or the
// engine is freed.
typedef struct RvlRequest {
  // `RVL_OUTBOUND` or `RVL_INBOUND`.
  uint32_t direction;
  // Whose SPD decides about it, 0 where there is only one.
  uint16_t domain;
  // As in `RvlPacket`.
  uint32_t mark;
  // Whatever tells the caller which packet it is.
  uint64_t token;
  // The packet: buffers of any size, read and never written.
  const struct RvlPiece *pieces;
  // Number of pieces.
  size_t piece_count;
  // Room for the packet, `RVL_HEADROOM` and `RVL_TAILROOM`.
  uint8_t *result;
  // Bytes there.
  size_t result_capacity;
} RvlRequest;

// A packet that was processed.
typedef struct RvlCompletion {
  // As in the request.
  uint64_t token;
  // The pieces of the request, which are as they were.
  const struct RvlPiece *pieces;
  // Number of pieces.
  size_t piece_count;
  // The result buffer of the request.
  uint8_t *result;
  // Where the new packet begins in it, when it was secured.
  size_t offset;
  // Bytes of the new packet.
  size_t length;
  // The domain of the new packet.
  uint16_t domain;
  // The mark of the new packet.
  uint32_t mark;
  // The policy applied, and the status.
  struct RvlResult applied;
} RvlCompletion;

// One ESP SA. It carries what `source` and `destination` select, both null for everything.
typedef struct RvlSa {
  // `RVL_OUTBOUND` or `RVL_INBOUND`.
  uint32_t direction;
  // The label on the wire, above 255.
  uint32_t spi;
  // The policy that it serves.
  uint32_t policy;
  // `RVL_TUNNEL` or `RVL_TRANSPORT`.
  uint32_t mode;
  // The sender's address.
  const char *from;
  // The receiver's address.
  const char *to;
  // ESP in UDP: the ports of its header, both 0 for no UDP.
  uint16_t source_port;
  // See `source_port`.
  uint16_t destination_port;
  // Next layer protocol, 0 for any.
  uint8_t protocol;
  // 1 for 64-bit sequence numbers, 0 for 32-bit ones.
  uint8_t extended_sequence;
  // Identity string of the source, as the sender sees it.
  const char *source;
  // Identity string of the destination, as the sender sees it.
  const char *destination;
  // Name of the cipher, as behind `-e` of `ipsec policy`: `AES128-GCM`, `AES256-CBC`, `AES256-CCM`. Who names one that RFC 8221 §5
  // advises against gets it: `3DES-CBC` (SHOULD NOT), `DES-CBC` (MUST NOT); `NULL_ENC` and `AES128-GMAC` do not encrypt. See
  // `rvl_suite_warning`.
  const char *encryption;
  // Its key, with the salt of counter-mode ciphers at the end.
  const uint8_t *encryption_key;
  // Bytes of it.
  size_t encryption_key_len;
  // Name of the integrity algorithm, as behind `-a`: `HMAC-SHA-2-256`. Null with a cipher that authenticates.
  const char *integrity;
  // Its key.
  const uint8_t *integrity_key;
  // Bytes of it.
  size_t integrity_key_len;
  // Inbound: number of packets the anti-replay window covers, 0 for no check.
  uint32_t replay_window;
  // Its limits.
  struct RvlLifetime lifetime;
  // What else is wanted.
  struct RvlOptions options;
} RvlSa;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Says that a job is done: `outcome` is `RVL_JOB_...`, and with `RVL_JOB_OK` the packet stands at `offset` with `length`
// bytes; a cipher leaves it where it was. What is checked of a packet behind its cipher (padding, headers, selectors) is
// checked when `rvl_complete` comes to it. `BAD_PARAM` for a job that is not open, and a place outside of the buffer. All
// jobs are to be done, or given up by the hardware, before the engine is freed.
RvlStatus rvl_job_done(RvlHandle engine,
                       uint64_t job,
                       uint32_t outcome,
                       size_t offset,
                       size_t length);

// `IPSecAdminAddBypassPolicy`: lets traffic pass in the clear. `source` and `destination` are identity strings as in
// `RvlPolicy`, `protocol` is 0 for any, `priority` 1 (highest) to 7 (lowest) or from 1000 on.
//
// # Safety
// The strings are null or end with a zero byte; `message` is null or points to such a struct, whose buffer is as it says.
RvlStatus rvl_admin_add_bypass_policy(const char *source,
                                      const char *destination,
                                      uint8_t protocol,
                                      uint32_t priority,
                                      struct RvlMessage *message);

// `IPSecAdminAddDropPolicy`: drops traffic. Arguments as for `rvl_admin_add_bypass_policy`.
//
// # Safety
// As for `rvl_admin_add_bypass_policy`.
RvlStatus rvl_admin_add_drop_policy(const char *source,
                                    const char *destination,
                                    uint8_t protocol,
                                    uint32_t priority,
                                    struct RvlMessage *message);

// `IPSecAdminAddPolicy`: `policy` is `RVL_POLICY_...`; `remote` the address of the other end of its SAs, null with
// `RVL_POLICY_DROP` and `RVL_POLICY_BYPASS` alone; `flags` are `RVL_SP_...`, added. The other arguments are as for
// `rvl_admin_add_bypass_policy`.
//
// # Safety
// As for `rvl_admin_add_bypass_policy`.
RvlStatus rvl_admin_add_policy(uint32_t policy,
                               uint8_t protocol,
                               const char *source,
                               const char *destination,
                               const char *remote,
                               uint32_t flags,
                               uint32_t priority,
                               struct RvlMessage *message);

// Reads the reply to one of these messages: `spid` gets the number of the policy. Why it was refused otherwise.
//
// # Safety
// `message` points to `length` bytes or is null; `spid` is null or points to a number.
RvlStatus rvl_admin_answer(const uint8_t *message,
                           size_t length,
                           uint32_t *spid);

// `rvl_encapsulate` for a packet in pieces. After a verdict that leaves the packet as it was, so are the pieces.
//
// # Safety
// `chain` and `result` are null or point to such structs; `buffer` has `capacity` bytes and the pieces have theirs, and
// nobody else uses them.
RvlStatus rvl_encapsulate_chain(RvlHandle engine,
                                struct RvlChain *chain,
                                uint64_t now,
                                struct RvlResult *result);

// `rvl_decapsulate` for a packet in pieces. Of a packet that is dropped the pieces are of no use.
//
// # Safety
// As [`rvl_encapsulate_chain`].
RvlStatus rvl_decapsulate_chain(RvlHandle engine,
                                struct RvlChain *chain,
                                uint64_t now,
                                struct RvlResult *result);

// Why algorithms of an `RvlSa` or `RvlSuite` are not to be used but with a peer that has no better: a line for each that RFC 8221
// advises against or that does not encrypt, to be shown to whoever named them. Nothing but a zero byte: there is no such.
// `integrity` may be null. `length` is that of all of it, of which `capacity` may hold less, and may be null.
//
// # Safety
// The strings are null or end with a zero byte, `words` points to `capacity` bytes and `length` is null or points to a number.
RvlStatus rvl_suite_warning(const char *encryption,
                            const char *integrity,
                            char *words,
                            size_t capacity,
                            size_t *length);

// Makes an engine without policies and SAs, and its handle. The first call of all.
//
// # Safety
// `config` and `handle` point to what they say or are null; `random` and the callbacks of `accelerator` keep their promise
// until the handle is freed.
RvlStatus rvl_engine_new(const struct RvlEngineConfig *config,
                         RvlHandle *handle);

// Ends an engine and wipes its keys. The handle is no handle any more.
RvlStatus rvl_engine_free(RvlHandle engine);

// Ends what has outlived its time by `now`, and writes to `next` when to call again: `UINT64_MAX` for not before an SA
// is added. `next` may be null. All times are nanoseconds of one monotonic clock of the caller.
//
// # Safety
// `next` is null or points to a number.
RvlStatus rvl_engine_tick(RvlHandle engine,
                          uint64_t now,
                          uint64_t *next);

// Reads the counters of one direction.
//
// # Safety
// `counters` is null or points to such a struct.
RvlStatus rvl_counters(RvlHandle engine, uint32_t direction, struct RvlCounters *counters);

// Takes the oldest event off the queue; `Empty` when there is none.
//
// # Safety
// `event` is null or points to such a struct.
RvlStatus rvl_poll_event(RvlHandle engine, struct RvlEvent *event);

// Makes an endpoint without peers, and its handle.
//
// # Safety
// `handle` is null or points to a handle; `random` keeps its promise until the handle is freed.
RvlStatus rvl_ike_new(RvlRandom random, void *random_context, uint64_t now, RvlHandle *handle);

// Ends an endpoint and wipes its keys; nobody is told. Its SAs stay in the engine.
RvlStatus rvl_ike_free(RvlHandle ike);

// Negotiates SAs for a policy with a peer, or replaces the policy of the same number. The engine is to have the same
// policy. Lists of algorithms are as in `RvlRemote`; `key_exchange` null is none, that is no forward secrecy beyond that
// of the IKE SA.
//
// # Safety
// `policy` is null or points to such a struct; all strings are null or end with a zero byte.
RvlStatus rvl_ike_add_policy(RvlHandle ike,
                             const struct RvlPolicy *policy,
                             const char *remote,
                             const char *encryption,
                             const char *integrity,
                             const char *key_exchange,
                             uint64_t now);

// Negotiates no more SAs for a policy. Those that are there stay until they are terminated.
RvlStatus rvl_ike_delete_policy(RvlHandle ike, uint32_t id, uint64_t now);

// Takes a UDP payload that arrived on port 500 or 4500, as it came. From port 4500 only IKE is for here: give the whole
// IP packet to `rvl_decapsulate` first, which opens ESP in UDP and says `BYPASS` of IKE.
//
// # Safety
// `local` and `remote` are null or point to such structs, `data` to `len` bytes.
RvlStatus rvl_ike_receive(RvlHandle ike,
                          const struct RvlEndpoint *local,
                          const struct RvlEndpoint *remote,
                          const uint8_t *data,
                          size_t len,
                          uint64_t now);

// Does what is due. To be called when the time has come that `WAIT` named; early and late calls do no harm.
RvlStatus rvl_ike_timer(RvlHandle ike, uint64_t now);

// Negotiates an SA for a policy now.
RvlStatus rvl_ike_initiate(RvlHandle ike, uint32_t policy, uint64_t now);

// Replaces the SAs of a policy now.
RvlStatus rvl_ike_rekey(RvlHandle ike, uint32_t policy, uint64_t now);

// Ends the IKE SAs with a peer and all that hangs on them, telling the peer; with null those of all peers.
//
// # Safety
// `remote` is null or a string that ends with a zero byte.
RvlStatus rvl_ike_terminate(RvlHandle ike, const char *remote, uint64_t now);

// Tells the endpoint what the engine reports: SAs wanted and run out, peers that moved, peers that live. To be called
// after packets were processed and time has passed. The engine's events are then not for `rvl_poll_event`.
RvlStatus rvl_ike_follow(RvlHandle ike,
                         RvlHandle engine,
                         uint64_t now);

// Takes the next output; to be called until it is `WAIT`. Datagrams and texts go to `buffer`; `TOO_SMALL` leaves the
// output where it is and `output->length` says what it needs. SAs are put into and taken out of the engine.
//
// # Safety
// `output` is null or points to such a struct, `buffer` to `capacity` bytes.
RvlStatus rvl_ike_poll(RvlHandle ike,
                       RvlHandle engine,
                       uint64_t now,
                       struct RvlIkeOutput *output,
                       uint8_t *buffer,
                       size_t capacity);

// Negotiates no more SAs for any policy but those that lines made, which lines delete. SAs that are there stay until they
// are terminated.
RvlStatus rvl_ike_delete_policies(RvlHandle ike,
                                  uint64_t now);

// Removes all peers but those that lines made. Their SAs stay until they are terminated.
RvlStatus rvl_ike_delete_remotes(RvlHandle ike, uint64_t now);

// Writes the policies as text, a line each, and a zero byte behind; `length` is that of the text. `TOO_SMALL` writes the length
// alone: the text needs one byte more.
//
// # Safety
// `text` is null or points to `capacity` bytes, `length` is null or points to a number.
RvlStatus rvl_ike_print_policies(RvlHandle ike,
                                 char *text,
                                 size_t capacity,
                                 size_t *length);

// Writes the peers as text, a line each, without their secrets; as `rvl_ike_print_policies`.
//
// # Safety
// As of `rvl_ike_print_policies`.
RvlStatus rvl_ike_print_remotes(RvlHandle ike, char *text, size_t capacity, size_t *length);

// Writes the pools of internal addresses as text, a line each, and behind each a line for every address that a peer has or had;
// as `rvl_ike_print_policies`.
//
// # Safety
// As of `rvl_ike_print_policies`.
RvlStatus rvl_ike_print_pools(RvlHandle ike,
                              char *text,
                              size_t capacity,
                              size_t *length);

// Writes what is up as text, for programs and for people: `ike INITIATOR RESPONDER STATE` of each IKE SA, with its SPIs, and behind
// it `child INBOUND OUTBOUND STATE RECEIVED SENT` of each pair of SAs that hangs on it, with the SPIs and how many packets
// each has carried in `engine`; as `rvl_ike_print_policies`. SPIs are hexadecimal, and states words such as `ESTABLISHED`, `INSTALLED`.
//
// # Safety
// As of `rvl_ike_print_policies`.
RvlStatus rvl_ike_print_sas(RvlHandle ike,
                            RvlHandle engine,
                            char *text,
                            size_t capacity,
                            size_t *length);

// Carries out the lines of an `ike_rc` that configure: `ipsec policy`, `ipsec addsa`, `ike remote`, `ce x509` and those that
// delete them, `call`. They add to what lines made before. All take effect or, unless the status is `OK`, none does. Policies and SAs
// go to the engine, which is to be the same each time; with the first lines the automatic policies that let IKE and Neighbor
// Discovery pass come too. `directory` is where files are sought; null: the working directory. A remote's `--local` says
// from which address it is reached.
//
// `message` gets what the author of the lines should know, or why they are refused, a line each: `lines:LINE:COLUMN: words`,
// and a zero byte behind. `message_length` is the length of all of it, of which `capacity` may hold less; null with a
// `capacity` of 0 and a null `message_length` want none.
//
// What certificates, signatures and logins ask is answered inside of `rvl_ike_poll`, in some milliseconds, by the clock of the
// system and the files that the lines name; nothing is fetched.
//
// Peers that may be anywhere (`-r any`) and internal addresses (`ike pool`, `--pool`, `--vip`, `-s internal`) are as with a daemon:
// such policies are in the engine while they have SAs. What peers give is told by events (`RVL_IKE_EVENT_GRANTED`), and who has what of
// our pools by `rvl_ike_print_pools`. For users known by RADIUS (`--radius`) `rvl_ike_poll` hands out the packets, and names of
// hosts to be looked up.
//
// Refused is what takes a daemon: RADIUS accounts and those who end sessions by RADIUS, virtual interfaces, and commands that do not
// configure.
//
// # Safety
// `text` points to `length` bytes, `directory` is null or a string that ends with a zero byte, `message` points to `capacity`
// bytes and `message_length` is null or points to a number.
RvlStatus rvl_configure(RvlHandle ike,
                        RvlHandle engine,
                        const uint8_t *text,
                        size_t length,
                        const char *directory,
                        uint64_t now,
                        char *message,
                        size_t capacity,
                        size_t *message_length);

// The number of the policy that a line gave this name, for `rvl_ike_initiate` and to know events by. `POLICY_NOT_FOUND` where
// there is none.
//
// # Safety
// `name` is null or a string that ends with a zero byte, `policy` is null or points to a number.
RvlStatus rvl_policy_named(RvlHandle ike,
                           const char *name,
                           uint32_t *policy);

// Writes the lines that make what `rvl_configure` made, and behind `#` what they leave out: keys that were typed, and the
// peers and policies of the other calls. As `rvl_ike_print_policies`.
//
// # Safety
// `text` is null or points to `capacity` bytes, `length` is null or points to a number.
RvlStatus rvl_commands(RvlHandle ike,
                       char *text,
                       size_t capacity,
                       size_t *length);

// Says where the host of a name is that was asked for, in the order in which the addresses are to be tried; with a `count` of 0,
// that there is no such host or nobody knows it. Eight addresses are taken at most, and none that cannot be a peer's. The status
// is `BAD_PARAM` where nobody asked, or it was said already, and `BAD_ADDR_RANGE` for an address of no family.
//
// # Safety
// `name` is null or a string that ends with a zero byte, `addresses` points to `count` of them.
RvlStatus rvl_ike_host_found(RvlHandle ike,
                             const char *name,
                             const struct RvlAddress *addresses,
                             size_t count,
                             uint64_t now);

// Decides about a packet that leaves, and protects it where its policy says so. To be called for every packet, after
// its IP header is complete or, if it is forwarded, after its TTL was decremented, and before it is routed. Give it
// `RVL_HEADROOM` and `RVL_TAILROOM`.
//
// # Safety
// `packet` and `result` are null or point to such structs, and `buffer` has `capacity` bytes that nobody else uses.
RvlStatus rvl_encapsulate(RvlHandle engine,
                          struct RvlPacket *packet,
                          uint64_t now,
                          struct RvlResult *result);

// Decides about a packet that arrived for this host: opens it where it is protected, and checks that it was where it
// should be. To be called for every packet, after its header was checked, its fragments put together and its options
// done, and before it is handed to the upper layer.
//
// # Safety
// As [`rvl_encapsulate`].
RvlStatus rvl_decapsulate(RvlHandle engine,
                          struct RvlPacket *packet,
                          uint64_t now,
                          struct RvlResult *result);

// Tells what would become of a clear packet that is to leave, or that has arrived, by the policies alone. Nothing is
// done with the packet, and nothing is counted.
//
// # Safety
// As [`rvl_encapsulate`].
RvlStatus rvl_get_policy(RvlHandle engine,
                         uint32_t direction,
                         const struct RvlPacket *packet,
                         struct RvlDisposition *disposition);

// Adds a policy, or replaces the one with the same number.
//
// # Safety
// `policy` is null or points to such a struct, whose strings are null or end with a zero byte.
RvlStatus rvl_add_policy(RvlHandle engine, const struct RvlPolicy *policy);

// Removes a policy. SAs that serve it stay.
RvlStatus rvl_delete_policy(RvlHandle engine, uint32_t id);

// Takes a packet that arrived from a RADIUS server at the socket of this number, from which the question was sent. One that
// answers nothing, or is not proven to be the server's, is dropped.
//
// # Safety
// `server` is null or points to such a struct, `data` to `len` bytes.
RvlStatus rvl_ike_radius_receive(RvlHandle ike,
                                 const struct RvlEndpoint *server,
                                 uint32_t socket,
                                 const uint8_t *data,
                                 size_t len);

// Says that nobody is there: a packet for this server could not be sent, or was refused. The next server is asked at once.
//
// # Safety
// `server` is null or points to such a struct.
RvlStatus rvl_ike_radius_unreachable(RvlHandle ike,
                                     const struct RvlEndpoint *server,
                                     uint64_t now);

// Adds a peer, or replaces the one of the same name, unless lines made that. It may begin and be begun with.
//
// # Safety
// `remote` is null or points to such a struct, whose strings are null or end with a zero byte.
RvlStatus rvl_ike_add_remote(RvlHandle ike, const struct RvlRemote *remote, uint64_t now);

// Removes a peer. Its SAs stay until they are terminated.
//
// # Safety
// `name` is null or a string that ends with a zero byte.
RvlStatus rvl_ike_delete_remote(RvlHandle ike, const char *name, uint64_t now);

// Takes a packet. `OUT_OF_REQS` when as many are open as the engine may have.
//
// # Safety
// `request` is null or points to such a struct, whose pieces and buffer are as it says until the completion.
RvlStatus rvl_submit(RvlHandle engine, const struct RvlRequest *request, uint64_t now);

// Takes the next packet that is done; `EMPTY` when there is none.
//
// # Safety
// `completion` is null or points to such a struct.
RvlStatus rvl_complete(RvlHandle engine, uint64_t now, struct RvlCompletion *completion);

// Adds an SA; its lifetime starts at `now`. For one policy the outbound SA added last is the one that sends. Never use
// a key twice, not even after a restart: with counter-mode ciphers that gives the plaintext away.
//
// # Safety
// `sa` is null or points to such a struct, whose strings are null or end with a zero byte and whose keys have the
// lengths given.
RvlStatus rvl_add_sa(RvlHandle engine,
                     const struct RvlSa *sa,
                     uint64_t now);

// Removes the SA with this direction, SPI and receiver.
//
// # Safety
// `to` is null or a string that ends with a zero byte.
RvlStatus rvl_delete_sa(RvlHandle engine, uint32_t direction, uint32_t spi, const char *to);

// The status in words, in a string that lives forever; for numbers that are none too.
const char *rvl_status_text(int32_t status);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RAVELIN_H */
