/* How fast this machine computes and reads right now: pinned threads, kept ready, each timing its own work.
 *
 * A host that takes a core away for a second, or lets a stranger share it, shows nowhere inside a virtual machine but in
 * work done per time. So the same 2 ms of multiply-adds are run on all cores before and after what is measured. Other
 * loops give the ceilings.
 * Every loop has more independent accumulators than latency x ports of any current core, and fits its registers: a
 * loop that spills reports half the machine (tests/performance/test_probe.py reads the assembler).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#ifdef __AVX2__
#include <immintrin.h>
#endif
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#include <arm_neon.h>
#endif

enum task { FMA_F32, DOT_BF16, READ, FMA_L1 };

#define EACH_12(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define EACH_24(DO) EACH_12(DO) DO(12) DO(13) DO(14) DO(15) DO(16) DO(17) DO(18) DO(19) DO(20) DO(21) DO(22) DO(23)

/* Latency 4 x 2 ports needs 8 accumulators on x86, latency 4 x 4 ports 16 on the widest aarch64 cores. AVX2 has
 * 16 registers, two of them taken by the operands; the others have 32. */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define EACH EACH_24
#define ACCUMULATORS 24
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define EACH EACH_12
#define ACCUMULATORS 12
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define EACH EACH_24
#define ACCUMULATORS 24
#else
#define VECTOR_BYTES 16
#define EACH EACH_12
#define ACCUMULATORS 12
#endif

typedef float vector __attribute__((vector_size(VECTOR_BYTES)));
typedef int64_t words __attribute__((vector_size(VECTOR_BYTES)));

#define LANES (VECTOR_BYTES / 4)
#define ROUNDS 2000 /* 13 us of AVX-512 at 3.7 GHz: the clock is read often enough to stop within 1 % of 2 ms */

/* x -> x * 0.999 + 0.001 stays near 1: neither denormal nor infinite, whatever the time. */
__attribute__((noinline)) float fma_f32_loop(float seed) {
    vector scale = (vector){0} + 0.999f, shift = (vector){0} + 0.001f;
#define DECLARE(i) vector a##i = (vector){0} + (seed + i);
    EACH(DECLARE)
    for (long n = 0; n < ROUNDS; n++) {
#define STEP(i) a##i = a##i * scale + shift;
        EACH(STEP)
        /* Keeps the compiler from seeing through the rounds; costs no instruction. */
        __asm__ volatile("" ::: "memory");
    }
    vector sum = (vector){0};
#define ADD(i) sum += a##i;
    EACH(ADD)
    return sum[0];
}
#define FMA_F32_FLOP (2.0 * LANES * ACCUMULATORS * ROUNDS)

/* What the speed probe does. Every multiply-add reads an operand from L1, so that what a stranger on the core's other
 * hardware thread takes of its ports, for loads as for arithmetic, and of its L1 slows this as it slows a matmul: beside
 * 300 calls of the kernel the logarithms of both went together by -0.70 to -0.89, those of multiply-adds in registers by
 * -0.38 to -0.87. */
#define L1_ROWS 10 /* 15 KiB of 24 AVX-512 accumulators: less than half of any L1 */
__attribute__((noinline)) float fma_l1_loop(float seed, const vector *operands) {
    vector scale = (vector){0} + 1e-3f;
#define DECLARE_L1(i) vector a##i = (vector){0} + (seed + i);
    EACH(DECLARE_L1)
    for (long n = 0; n < ROUNDS / L1_ROWS; n++)
        for (const vector *at = operands; at < operands + L1_ROWS * ACCUMULATORS; at += ACCUMULATORS) {
#define STEP_L1(i) a##i += scale * at[i];
            EACH(STEP_L1)
            __asm__ volatile("" ::: "memory");
        }
    vector sum = (vector){0};
#define ADD_L1(i) sum += a##i;
    EACH(ADD_L1)
    return sum[0];
}
#define FMA_L1_FLOP (2.0 * LANES * ACCUMULATORS * (ROUNDS / L1_ROWS * L1_ROWS))

#if defined(__AVX512BF16__)
#define HAS_DOT_BF16 1
#define DOT_VECTOR __m512
#define DOT_LANES 16
#define DOT_SPLAT(x) _mm512_set1_ps(x)
#define DOT_FIRST(v) _mm512_cvtss_f32(v)
#define DOT_SUM(a, b) _mm512_add_ps(a, b)
#define DOT_OPERAND __m512bh
#define DOT_ONES _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-9f), _mm512_set1_ps(1e-9f))
#define DOT(acc, x, y) _mm512_dpbf16_ps(acc, x, y)
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define HAS_DOT_BF16 1
#define DOT_VECTOR float32x4_t
#define DOT_LANES 8 /* BFMMLA: 2x4 by 4x2 is 32 FLOP, as much as eight lanes of a dot product */
#define DOT_SPLAT(x) vdupq_n_f32(x)
#define DOT_FIRST(v) vgetq_lane_f32(v, 0)
#define DOT_SUM(a, b) vaddq_f32(a, b)
#define DOT_OPERAND bfloat16x8_t
#define DOT_ONES vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(vdupq_n_f32(1e-9f)), vdupq_n_f32(1e-9f))
#define DOT(acc, x, y) vbfmmlaq_f32(acc, x, y)
#endif

#ifdef HAS_DOT_BF16
__attribute__((noinline)) float dot_bf16_loop(float seed) {
    DOT_OPERAND x = DOT_ONES, y = DOT_ONES;
#define DECLARE_DOT(i) DOT_VECTOR a##i = DOT_SPLAT(seed + i);
    EACH_24(DECLARE_DOT)
    for (long n = 0; n < ROUNDS; n++) {
#define STEP_DOT(i) a##i = DOT(a##i, x, y);
        EACH_24(STEP_DOT)
        __asm__ volatile("" ::: "memory");
    }
    DOT_VECTOR sum = DOT_SPLAT(0);
#define ADD_DOT(i) sum = DOT_SUM(sum, a##i);
    EACH_24(ADD_DOT)
    return DOT_FIRST(sum);
}
#define DOT_BF16_FLOP (4.0 * DOT_LANES * 24 * ROUNDS) /* two products and two sums per float32 lane */
#endif

#if defined(__AMX_BF16__) && defined(__linux__)
#define HAS_TILES 1
/* What is multiplied: signs and digits of a linear congruence, between 0.5 and 2. The unit's power, and with it the
 * clock, depends on the data: zeros are multiplied at 2.87 TFLOP/s on a core of an Emerald Rapids, these at 2.36. */
static uint16_t operands[16 * 32];

static void draw_operands(void) {
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof operands / sizeof *operands; i++) {
        seed = seed * 1664525 + 1013904223;
        operands[i] = (uint16_t)(0x3f00 | seed >> 24 | (seed >> 8 & 0x8000));
    }
}

/* Four accumulator tiles: latency 52, one tile product per 16 cycles. */
__attribute__((noinline)) float tile_bf16_loop(float seed) {
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t column_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1,
               .column_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
               .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    float result[16 * 16];
    _tile_loadconfig(&shape);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, operands, 64);
    _tile_loadd(5, operands, 64);
    for (long n = 0; n < ROUNDS / 8; n++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
        __asm__ volatile("" ::: "memory");
    }
    _tile_stored(0, result, 64);
    _tile_release();
    return seed + result[0];
}
#define TILE_BF16_FLOP (2.0 * 16 * 16 * 32 * 4 * (ROUNDS / 8))

/* Tiles are 8 KB of state per thread: Linux wants to be asked (ARCH_REQ_XCOMP_PERM for XFEATURE 18). */
static int tiles_allowed(void) { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }
#endif

/* Sums `bytes` (a multiple of 16 vectors) from `at`, eight vectors at a time from each of two streams: one stream alone
 * leaves a tenth of the DRAM bandwidth of a single core unused. */
__attribute__((noinline)) int64_t read_loop(const char *at, size_t bytes) {
    const words *low = (const words *)at, *high = (const words *)(at + bytes / 2);
    size_t count = bytes / 2 / VECTOR_BYTES;
    words a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, b0 = {0}, b1 = {0}, b2 = {0}, b3 = {0};
    for (size_t n = 0; n < count; n += 8) {
        a0 += low[n], a1 += low[n + 1], a2 += low[n + 2], a3 += low[n + 3];
        b0 += high[n], b1 += high[n + 1], b2 += high[n + 2], b3 += high[n + 3];
        a0 += low[n + 4], a1 += low[n + 5], a2 += low[n + 6], a3 += low[n + 7];
        b0 += high[n + 4], b1 += high[n + 5], b2 += high[n + 6], b3 += high[n + 7];
    }
    a0 += a1 + a2 + a3 + b0 + b1 + b2 + b3;
    return a0[0];
}

#define READ_BLOCK ((size_t)256 << 10)

struct member {
    struct pool *pool;
    pthread_t thread;
    int index, cpu;
    size_t at; /* where reading a member's whole share goes on */
    double rate;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t go, done;
    unsigned long round;
    int members, active, waiting, closing, tiles;
    atomic_int arrived;
    enum task task;
    double seconds;
    size_t bytes, buffer_bytes;
    char *buffer;
    struct member member[];
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void pin(int cpu) {
#ifdef __linux__
    cpu_set_t *set = CPU_ALLOC(cpu + 1);
    CPU_ZERO_S(CPU_ALLOC_SIZE(cpu + 1), set);
    CPU_SET_S(cpu, CPU_ALLOC_SIZE(cpu + 1), set);
    sched_setaffinity(0, CPU_ALLOC_SIZE(cpu + 1), set);
    CPU_FREE(set);
#else
    (void)cpu;
#endif
}

/* Where a member's share of the buffer begins; it wrote that share first, so it lies on its own memory node. */
static size_t home(const struct pool *pool, int index) {
    return pool->buffer_bytes / READ_BLOCK * (size_t)index / (size_t)pool->members * READ_BLOCK;
}

static double compute(struct pool *pool, double start) {
    volatile float sink = 0;
    double work = 0, end;
    vector operands[L1_ROWS * ACCUMULATORS];
    for (int i = 0; i < L1_ROWS * ACCUMULATORS; i++)
        operands[i] = (vector){0} + 1e-3f * (float)(i + 1);
    do {
        if (pool->task == FMA_L1) {
            sink += fma_l1_loop(1, operands);
            work += FMA_L1_FLOP;
            continue;
        }
#ifdef HAS_TILES
        if (pool->task == DOT_BF16 && pool->tiles) {
            sink += tile_bf16_loop(1);
            work += TILE_BF16_FLOP;
            continue;
        }
#endif
#ifdef HAS_DOT_BF16
        if (pool->task == DOT_BF16) {
            sink += dot_bf16_loop(1);
            work += DOT_BF16_FLOP;
            continue;
        }
#endif
        sink += fma_f32_loop(1);
        work += FMA_F32_FLOP;
    } while ((end = now()) < start + pool->seconds);
    return work / (end - start);
}

static double read_buffer(struct pool *pool, struct member *self, double start) {
    volatile int64_t sink = 0;
    size_t first = home(pool, self->index);
    size_t block = pool->bytes < READ_BLOCK ? pool->bytes : READ_BLOCK;
    /* A large share is not read through in one go. Begun anew each time, what is read would be one cache's worth. */
    int whole = 2 * pool->bytes * (size_t)pool->members >= pool->buffer_bytes;
    size_t at = whole && self->at + block <= pool->bytes ? self->at : 0;
    double work = 0, end;
    do {
        /* A set smaller than a block is read over and over, so that the clock is read as seldom as for a large one. */
        for (size_t done = 0; done < READ_BLOCK; done += block) {
            sink += read_loop(pool->buffer + (first + at) % pool->buffer_bytes, block);
            work += (double)block;
            at = at + 2 * block > pool->bytes ? 0 : at + block;
        }
    } while ((end = now()) < start + pool->seconds);
    if (whole)
        self->at = at;
    return work / (end - start);
}

static void *serve(void *argument) {
    struct member *self = argument;
    struct pool *pool = self->pool;
    pin(self->cpu);
    if (pool->buffer != NULL) {
        size_t first = home(pool, self->index), last = home(pool, self->index + 1);
        memset(pool->buffer + first, 1, last - first);
    }
    unsigned long seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        if (--pool->waiting == 0)
            pthread_cond_signal(&pool->done);
        while (pool->round == seen)
            pthread_cond_wait(&pool->go, &pool->lock);
        seen = pool->round;
        if (pool->closing)
            break;
        pthread_mutex_unlock(&pool->lock);
        if (self->index < pool->active) {
            atomic_fetch_add(&pool->arrived, 1);
            while (atomic_load(&pool->arrived) < pool->active)
                ; /* all begin together; each has a core of its own */
            double start = now();
            self->rate = pool->task == READ ? read_buffer(pool, self, start) : compute(pool, start);
        } else {
            self->rate = 0;
        }
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

void probe_close(struct pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->closing = 1;
    pool->round++;
    pthread_cond_broadcast(&pool->go);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->members; i++)
        pthread_join(pool->member[i].thread, NULL);
    pthread_cond_destroy(&pool->go);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->lock);
    free(pool->buffer);
    free(pool);
}

/* One thread pinned to each of `cpus`, sleeping until it is asked; NULL and errno when there are no resources. */
struct pool *probe_open(const int *cpus, int count, size_t buffer_bytes) {
    struct pool *pool = calloc(1, sizeof *pool + (size_t)count * sizeof *pool->member);
    if (pool == NULL)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->go, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->buffer_bytes = (buffer_bytes + READ_BLOCK - 1) / READ_BLOCK * READ_BLOCK;
    if (pool->buffer_bytes != 0) {
        /* Huge pages: with 4 KiB ones the page walks, not the memory, bound what a core reads. */
        pool->buffer = aligned_alloc((size_t)2 << 20, (pool->buffer_bytes + ((size_t)2 << 20) - 1) >> 21 << 21);
        if (pool->buffer == NULL) {
            free(pool);
            errno = ENOMEM;
            return NULL;
        }
#ifdef MADV_HUGEPAGE
        madvise(pool->buffer, pool->buffer_bytes, MADV_HUGEPAGE);
#endif
    }
#ifdef HAS_TILES
    pool->tiles = tiles_allowed();
    draw_operands();
#endif
    pthread_mutex_lock(&pool->lock);
    pool->waiting = count;
    for (int i = 0; i < count; i++) {
        pool->member[i] = (struct member){.pool = pool, .index = i, .cpu = cpus[i]};
        /* home() must know all members before the first begins, and probe_close() joins only those that run. */
        pool->members = count;
        int failure = pthread_create(&pool->member[i].thread, NULL, serve, &pool->member[i]);
        if (failure != 0) {
            pool->members = i;
            pthread_mutex_unlock(&pool->lock);
            probe_close(pool);
            errno = failure;
            return NULL;
        }
    }
    while (pool->waiting > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    return pool;
}

int probe_supports(int task) {
#ifndef HAS_DOT_BF16
    if (task == DOT_BF16)
        return 0;
#endif
    return task >= FMA_F32 && task <= FMA_L1;
}

const char *probe_method(struct pool *pool, int task) {
    (void)pool;
#ifdef HAS_TILES
    if (task == DOT_BF16 && pool->tiles)
        return "AMX bfloat16 tile products";
#endif
    if (task == READ)
        return "vector reads";
    return task == DOT_BF16 ? "bfloat16 dot products" : "fused multiply-adds";
}

int probe_vector_bytes(void) { return VECTOR_BYTES; }

/* The sum over `threads` of what each did per second, FLOP or bytes; `bytes` is what each reads of the buffer. */
double probe_run(struct pool *pool, int task, int threads, double seconds, size_t bytes) {
    double total = 0;
    pthread_mutex_lock(&pool->lock);
    pool->task = (enum task)task;
    pool->seconds = seconds;
    pool->bytes = bytes;
    pool->active = threads;
    pool->waiting = pool->members;
    atomic_store(&pool->arrived, 0);
    pool->round++;
    pthread_cond_broadcast(&pool->go);
    while (pool->waiting > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    for (int i = 0; i < threads; i++)
        total += pool->member[i].rate;
    pthread_mutex_unlock(&pool->lock);
    return total;
}
