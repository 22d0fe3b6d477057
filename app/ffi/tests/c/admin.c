/* Messages of an administrator's program, made from text. */
#include "common.h"

static uint8_t room[RVL_MAX_MESSAGE];

static RvlMessage fresh(void)
{
    memset(room, 0xee, sizeof room);
    return (RvlMessage){.buffer = room, .capacity = sizeof room, .sequence = 0x1234};
}

/* The octets of docs/management.md: header 12, then number 4, action 1, protocol 1, domain 2, flags 4, priority 4, ... */
static void is(const RvlMessage *message, uint8_t action, uint8_t protocol, uint32_t flags, uint8_t priority)
{
    const uint8_t *data = message->buffer + 12;
    CHECK(message->length == 12 + 140);
    CHECK(message->buffer[0] == 12 && message->buffer[1] == 3 && message->buffer[2] == 1);
    CHECK(message->buffer[4] == 0x12 && message->buffer[5] == 0x34 && message->buffer[7] == 140);
    CHECK(data[4] == action && data[5] == protocol);
    CHECK(data[10] == (uint8_t)(flags >> 8) && data[11] == (uint8_t)flags && data[15] == priority);
    /* The source is 10.1.0.0/16 as a range, the destination 10.2.0.1. */
    CHECK(data[16] == 7 && memcmp(data + 24, (uint8_t[]){10, 1, 0, 0}, 4) == 0);
    CHECK(memcmp(data + 40, (uint8_t[]){10, 1, 255, 255}, 4) == 0);
    CHECK(data[56] == 1 && memcmp(data + 64, (uint8_t[]){10, 2, 0, 1}, 4) == 0);
}

int main(void)
{
    const char *source = "10.1.0.0/16", *destination = "10.2.0.1,53";
    RvlMessage message = fresh();
    OK(rvl_admin_add_bypass_policy(source, destination, 17, 3, &message));
    is(&message, RVL_POLICY_BYPASS, 17, 0, 3);
    CHECK(message.buffer[12 + 60] == 0 && message.buffer[12 + 61] == 53);
    message = fresh();
    OK(rvl_admin_add_drop_policy(source, destination, 17, 7, &message));
    is(&message, RVL_POLICY_DROP, 17, 0, 7);
    message = fresh();
    OK(rvl_admin_add_policy(RVL_POLICY_DROP, 6, source, destination, NULL, 0, 1, &message));
    is(&message, RVL_POLICY_DROP, 6, 0, 1);
    uint32_t flags = RVL_SP_PROTO_ESP | RVL_SP_CHECK_REPLAY | RVL_SP_TX_TFC_PADDING;
    message = fresh();
    OK(rvl_admin_add_policy(RVL_POLICY_SECURE_TUNNEL, 0, source, "10.2.0.1", "192.0.2.2", flags, 4, &message));
    is(&message, RVL_POLICY_SECURE_TUNNEL, 0, flags, 4);
    CHECK(message.buffer[12 + 96] == 4 && memcmp(message.buffer + 12 + 100, (uint8_t[]){192, 0, 2, 2}, 4) == 0);

    /* What cannot be. */
#define WRONG(status, ...) \
    message = fresh();     \
    STATUS(RVL_STATUS_##status, rvl_admin_add_policy(__VA_ARGS__, &message)); \
    CHECK(message.length == 0)
    WRONG(NULL, RVL_POLICY_SECURE_TUNNEL, 17, source, destination, NULL, flags, 4);
    WRONG(BAD_PARAM, RVL_POLICY_BYPASS, 17, source, destination, "192.0.2.2", 0, 4);
    WRONG(BAD_PARAM, RVL_POLICY_DROP, 17, source, destination, NULL, flags, 4);
    WRONG(BAD_PARAM, 9, 17, source, destination, "192.0.2.2", flags, 4);
    WRONG(BAD_ADDR_RANGE, RVL_POLICY_SECURE_TUNNEL, 17, source, destination, "gw", flags, 4);
    WRONG(BAD_ADDR_RANGE, RVL_POLICY_DROP, 0, source, "2001:db8::1", NULL, 0, 4);
    WRONG(BAD_ADDR_RANGE, RVL_POLICY_DROP, 0, "10.9.0.0-10.1.0.0", source, NULL, 0, 4);
    WRONG(BAD_PORT_NUMBER, RVL_POLICY_DROP, 50, source, destination, NULL, 0, 4);
    WRONG(NULL, RVL_POLICY_DROP, 0, NULL, source, NULL, 0, 4);
    STATUS(RVL_STATUS_NULL, rvl_admin_add_drop_policy(source, source, 0, 4, NULL));
    message = fresh();
    message.capacity = 100;
    STATUS(RVL_STATUS_TOO_SMALL, rvl_admin_add_bypass_policy(source, source, 0, 4, &message));
    CHECK(message.length == 0 && room[0] == 0xee);

    /* Replies: header, then the number; or a status and nothing. */
    uint8_t good[16] = {12, 1, 3, 0, 0x12, 0x34, 0, 4, 0, 0, 0, 0, 0, 0, 1, 2};
    uint8_t refused[12] = {12, 1, 3, 0, 0x12, 0x34, 0, 0, 0, RVL_STATUS_OUT_OF_POLICIES, 0, 0};
    uint32_t spid = 0;
    OK(rvl_admin_answer(good, sizeof good, &spid));
    CHECK(spid == 0x102);
    STATUS(RVL_STATUS_OUT_OF_POLICIES, rvl_admin_answer(refused, sizeof refused, &spid));
    STATUS(RVL_STATUS_BAD_PARAM, rvl_admin_answer(good, 15, &spid));
    STATUS(RVL_STATUS_BAD_PARAM, rvl_admin_answer(NULL, 0, &spid));
    STATUS(RVL_STATUS_NULL, rvl_admin_answer(good, sizeof good, NULL));
    puts("done");
    return 0;
}
