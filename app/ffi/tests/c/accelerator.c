/* A cipher of the caller that is done late and out of order. It is no real one: what counts here is who does what when. */
#include "common.h"

static const uint8_t KEY[36] = {7, 8, 9};
enum { PACKETS = 32, OPEN = 8, HEAD = 16, ICV = 16 };

/* What a device would have: the SAs that it took, and the jobs in its ring. */
struct device {
    uint32_t takes;
    int sas, calls_inside;
    RvlHandle engine;
    RvlJob ring[OPEN];
    size_t open;
};

static uint32_t add(void *context, const RvlAcceleratedSa *sa)
{
    struct device *device = context;
    RvlCounters counters;
    /* From a callback nothing comes back in. */
    device->calls_inside += rvl_counters(device->engine, RVL_INBOUND, &counters) == RVL_STATUS_REENTERED;
    CHECK(sa->encryption == 20 && sa->integrity == 0 && sa->encryption_key_len == sizeof KEY);
    CHECK(memcmp(sa->encryption_key, KEY, sizeof KEY) == 0 && sa->spi == 0x1000 && sa->mode == RVL_TUNNEL);
    CHECK(sa->most == RVL_SHARE_WHOLE && sa->to.family == 4 && sa->to.bytes[0] == 192 && sa->to.bytes[3] == 2);
    device->sas++;
    return device->takes;
}

static void removed(void *context, uint32_t direction, uint32_t spi, const RvlAddress *to)
{
    struct device *device = context;
    CHECK(direction <= RVL_INBOUND && spi == 0x1000 && to->bytes[3] == 2);
    device->sas--;
}

static int32_t submit(void *context, const RvlJob *job)
{
    struct device *device = context;
    CHECK(job->share == device->takes && job->spi == 0x1000 && job->offset + job->length <= job->capacity);
    if (device->open == OPEN / 2)
        return 1;
    device->ring[device->open++] = *job;
    return 0;
}

/* Adds a number to each byte of the text, and has the sum of head and text for an ICV. */
static uint32_t work(const RvlJob *job)
{
    uint8_t *esp = job->buffer + job->offset + job->esp_offset;
    size_t length = job->length - job->esp_offset;
    uint8_t *text = esp + HEAD, *icv = esp + length - ICV, sum[ICV] = {0};
    CHECK(esp[0] == 0 && esp[2] == 0x10 && esp[7] == (uint8_t)job->sequence && esp[15] == (uint8_t)job->sequence);
    if (job->direction == RVL_OUTBOUND)
        for (uint8_t *at = text; at < icv; at++)
            *at = (uint8_t)(*at + 0x55);
    for (uint8_t *at = esp; at < icv; at++)
        sum[*at % ICV] = (uint8_t)(sum[*at % ICV] * 3 + 1);
    if (job->direction == RVL_OUTBOUND) {
        memcpy(icv, sum, ICV);
        return RVL_JOB_OK;
    }
    if (memcmp(icv, sum, ICV) != 0)
        return RVL_JOB_FORGED;
    for (uint8_t *at = text; at < icv; at++)
        *at = (uint8_t)(*at - 0x55);
    return RVL_JOB_OK;
}

/* The last job to come is the first to be done. */
static void finish(struct device *device, uint32_t given_up)
{
    while (device->open > 0) {
        RvlJob job = device->ring[--device->open];
        uint32_t outcome = given_up ? RVL_JOB_FAILED : work(&job);
        STATUS(RVL_STATUS_BAD_PARAM, rvl_job_done(device->engine, job.job ^ 1ull << 40, outcome, job.offset, job.length));
        STATUS(RVL_STATUS_BAD_PARAM, rvl_job_done(device->engine, job.job, 3, job.offset, job.length));
        STATUS(RVL_STATUS_BAD_PARAM, rvl_job_done(device->engine, job.job, RVL_JOB_OK, job.capacity, 1));
        STATUS(RVL_STATUS_BAD_PARAM, rvl_job_done(device->engine, job.job, RVL_JOB_OK, SIZE_MAX, SIZE_MAX));
        OK(rvl_job_done(device->engine, job.job, outcome, job.offset, job.length));
        STATUS(RVL_STATUS_BAD_PARAM, rvl_job_done(device->engine, job.job, outcome, job.offset, job.length));
    }
}

static uint8_t clear[PACKETS][256], sealed[PACKETS][512], opened[PACKETS][512];
static RvlPiece pieces[PACKETS];

static RvlHandle start(struct device *device, uint32_t takes, uint64_t *seed)
{
    *device = (struct device){.takes = takes};
    RvlAccelerator accelerator = {.context = device, .add = add, .remove = removed, .submit = submit};
    RvlEngineConfig config = {.no_match = RVL_NO_MATCH_DISCARD, .random = test_random, .random_context = seed,
                              .max_requests = OPEN, .accelerator = &accelerator};
    OK(rvl_engine_new(&config, &device->engine));
    RvlPolicy policy = {.id = 1, .action = RVL_PROTECT, .source = "any", .destination = "any",
                        .endpoint = "192.0.2.2", .replay_window = 64};
    OK(rvl_add_policy(device->engine, &policy));
    for (uint32_t direction = RVL_OUTBOUND; direction <= RVL_INBOUND; direction++) {
        RvlSa sa = {.direction = direction, .spi = 0x1000, .policy = 1, .from = "192.0.2.1", .to = "192.0.2.2",
                    .encryption = "AES256-GCM", .encryption_key = KEY, .encryption_key_len = sizeof KEY,
                    .replay_window = 64};
        OK(rvl_add_sa(device->engine, &sa, 0));
    }
    CHECK(device->sas == 2 && device->calls_inside == 2);
    return device->engine;
}

static void send(RvlHandle engine, uint32_t direction, int token, const uint8_t *bytes, size_t length, uint8_t *room)
{
    pieces[token] = (RvlPiece){.data = bytes, .length = length};
    RvlRequest request = {.direction = direction, .token = (uint64_t)token, .pieces = &pieces[token], .piece_count = 1,
                          .result = room, .result_capacity = 512};
    OK(rvl_submit(engine, &request, 0));
}

/* Twice as many packets as the device has room for: the rest goes by software, and all cross. */
static void crossing(void)
{
    uint64_t seed = 5;
    struct device device;
    RvlHandle engine = start(&device, RVL_SHARE_CIPHER, &seed);
    RvlCompletion done, protected[PACKETS];
    int disordered = 0;
    for (int first = 0; first < PACKETS; first += OPEN) {
        for (int n = first; n < first + OPEN; n++)
            send(engine, RVL_OUTBOUND, n, clear[n], udp_packet(clear[n], 1, 2, 9, (size_t)n), sealed[n]);
        /* Nothing was done yet but what software did. */
        CHECK(device.open == OPEN / 2);
        finish(&device, 0);
        for (int n = 0; n < OPEN; n++) {
            OK(rvl_complete(engine, 0, &done));
            CHECK(done.applied.verdict == RVL_VERDICT_SECURE_TUNNEL && done.result == sealed[done.token]);
            disordered += done.token != (uint64_t)(first + n);
            protected[done.token] = done;
        }
        STATUS(RVL_STATUS_EMPTY, rvl_complete(engine, 0, &done));
        for (int n = first; n < first + OPEN; n++)
            send(engine, RVL_INBOUND, n, protected[n].result + protected[n].offset, protected[n].length, opened[n]);
        finish(&device, 0);
        for (int n = 0; n < OPEN; n++) {
            OK(rvl_complete(engine, 0, &done));
            /* What software sealed has an ICV that the device does not know, and the other way round: each opened its own. */
            CHECK(done.applied.verdict == RVL_VERDICT_SECURE_TUNNEL);
            CHECK(memcmp(done.result + done.offset, clear[done.token], done.length) == 0);
        }
    }
    CHECK(disordered > 0);
    OK(rvl_delete_sa(engine, RVL_OUTBOUND, 0x1000, "192.0.2.2"));
    OK(rvl_delete_sa(engine, RVL_INBOUND, 0x1000, "192.0.2.2"));
    CHECK(device.sas == 0);
    OK(rvl_engine_free(engine));
}

/* One packet out by the device, damaged by `damage` before its text is hidden, and in again. */
static RvlResult back(struct device *device, int at, int value, int flip_icv)
{
    RvlCompletion done;
    send(device->engine, RVL_OUTBOUND, 0, clear[0], udp_packet(clear[0], 1, 2, 9, 20), sealed[0]);
    RvlJob *job = &device->ring[0];
    CHECK(device->open == 1);
    if (at != 0)
        job->buffer[job->offset + job->length - ICV - (size_t)at] = (uint8_t)value;
    finish(device, 0);
    OK(rvl_complete(device->engine, 0, &done));
    done.result[done.offset + done.length - 1] ^= (uint8_t)flip_icv;
    send(device->engine, RVL_INBOUND, 1, done.result + done.offset, done.length, opened[0]);
    CHECK(device->open == 1);
    finish(device, 0);
    OK(rvl_complete(device->engine, 0, &done));
    return done.applied;
}

/* What the cipher gives back is checked behind it: padding, next header, what is inside; and software stands in for it. */
static void checks(void)
{
    uint64_t seed = 6;
    struct device device;
    RvlHandle engine = start(&device, RVL_SHARE_CIPHER, &seed);
    CHECK(back(&device, 0, 0, 0).verdict == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(back(&device, 0, 0, 1).reason == RVL_STATUS_ESP_DIGEST_MISMATCH);
    CHECK(back(&device, 2, 77, 0).reason == RVL_STATUS_BAD_PAD_DATA);
    CHECK(back(&device, 1, 17, 0).reason == RVL_STATUS_UNKNOWN_IP_PROTOCOL);
    CHECK(back(&device, 1, 41, 0).reason == RVL_STATUS_DST_OUT_OF_DATA);

    RvlCompletion done;
    send(engine, RVL_OUTBOUND, 0, clear[0], udp_packet(clear[0], 1, 2, 9, 20), sealed[0]);
    finish(&device, 1);
    OK(rvl_complete(engine, 0, &done));
    CHECK(done.applied.verdict == RVL_VERDICT_SECURE_TUNNEL);
    /* By AES-GCM and with a number of its own: five went before, and one was lost with the device. */
    uint8_t *esp = done.result + done.offset + done.applied.esp_offset;
    CHECK(esp[7] == 7);
    RvlPacket packet = {.buffer = done.result, .capacity = 512, .offset = done.offset, .length = done.length};
    RvlResult result;
    OK(rvl_decapsulate(engine, &packet, 0, &result));
    CHECK(result.verdict == RVL_VERDICT_SECURE_TUNNEL && memcmp(packet.buffer + packet.offset, clear[0], 48) == 0);
    /* Freed with a job that nobody did. */
    send(engine, RVL_OUTBOUND, 0, clear[0], 48, sealed[0]);
    RvlJob job = device.ring[0];
    OK(rvl_engine_free(engine));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_job_done(engine, job.job, RVL_JOB_OK, job.offset, job.length));

    /* Hardware that takes nothing, and some that is not all there. */
    engine = start(&device, RVL_SHARE_NOTHING, &seed);
    send(engine, RVL_OUTBOUND, 0, clear[0], 48, sealed[0]);
    OK(rvl_complete(engine, 0, &done));
    CHECK(device.open == 0 && done.applied.verdict == RVL_VERDICT_SECURE_TUNNEL);
    STATUS(RVL_STATUS_BAD_PARAM, rvl_job_done(engine, 0, RVL_JOB_OK, 0, 0));
    OK(rvl_engine_free(engine));
    RvlAccelerator part = {.context = &device, .add = add, .submit = submit};
    RvlEngineConfig config = {.random = test_random, .random_context = &seed, .accelerator = &part};
    STATUS(RVL_STATUS_NULL, rvl_engine_new(&config, &engine));
}

int main(void)
{
    crossing();
    checks();
    puts("done");
    return 0;
}
