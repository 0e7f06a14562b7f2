/* NVIDIA's driver, made up: GPUs whose memory is the host's, and streams that do nothing until they are waited for.
 *
 * It is strict where a real one is only fast: a copy must lie inside memory of the right kind and GPU, a thread must have
 * made a GPU its own, new memory holds NaN, and whoever reads a result before waiting for it reads the old one.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define GPUS 2
#define STACK 16
#define BLOCKS 4096
#define OK 0
#define INVALID_VALUE 1
#define OUT_OF_MEMORY 2
#define NO_DEVICE 100
#define INVALID_DEVICE 101
#define INVALID_CONTEXT 201
#define NOT_FOUND 500

typedef enum { COPY, CALL, REPLAY } Kind;
typedef struct Node {
    Kind kind; void *to; const void *from; size_t size; void (*call)(void *); void *data; struct Graph *graph;
} Node;
typedef struct Graph { Node *nodes; size_t count; } Graph;
typedef struct Stream { Graph waiting, *recording; int gpu; } Stream;
typedef struct { char *start; size_t size; int gpu; } Block; /* gpu -1: pinned host memory */

static int enabled, fail_code, live_objects;
static char fail_name[64];
static Block blocks[BLOCKS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char contexts[GPUS];
static __thread int current[STACK], depth;

/* What tests turn. */
EXPORT void made_up_enable(int on) { enabled = on; }
EXPORT void made_up_fail(const char *name, int code) { strncpy(fail_name, name, 63); fail_code = code; }
EXPORT int made_up_live(void)
{
    int found = live_objects;
    for (int i = 0; i < BLOCKS; i++) found += blocks[i].start != NULL;
    return found;
}
EXPORT int made_up_depth(void) { return depth; }

static int failing(const char *name)
{
    if (!fail_code || strcmp(name, fail_name)) return OK;
    int code = fail_code; fail_code = 0; return code;
}
#define MAY_FAIL do { int code_ = failing(__func__); if (code_) return code_; } while (0)
#define NEEDS_GPU do { MAY_FAIL; if (!depth) return INVALID_CONTEXT; } while (0)

static void count(int change) { pthread_mutex_lock(&lock); live_objects += change; pthread_mutex_unlock(&lock); }

static int take(void **where, size_t size, int gpu)
{
    int code = OUT_OF_MEMORY;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < BLOCKS; i++) if (!blocks[i].start) {
        blocks[i] = (Block){memset(malloc(size), 0xff, size), size, gpu};
        *where = blocks[i].start; code = OK; break;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static int give(void *start)
{
    int code = INVALID_VALUE;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < BLOCKS; i++) if (start && blocks[i].start == start) {
        free(start); blocks[i].start = NULL; code = OK; break;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static int inside(const void *start, size_t size, int gpu)
{
    int found = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < BLOCKS; i++)
        found |= blocks[i].start && blocks[i].gpu == gpu && (char *)start >= blocks[i].start
                 && (char *)start + size <= blocks[i].start + blocks[i].size;
    pthread_mutex_unlock(&lock);
    return found;
}

static void append(Graph *graph, Node node)
{
    graph->nodes = realloc(graph->nodes, (graph->count + 1) * sizeof(Node));
    graph->nodes[graph->count++] = node;
}

static void perform(Graph *graph)
{
    for (size_t i = 0; i < graph->count; i++) {
        Node *node = &graph->nodes[i];
        if (node->kind == COPY) memcpy(node->to, node->from, node->size);
        if (node->kind == CALL) node->call(node->data);
        if (node->kind == REPLAY) perform(node->graph);
    }
}

static int queue(Stream *stream, Node node)
{
    append(stream->recording ? stream->recording : &stream->waiting, node);
    return OK;
}

EXPORT int cuInit(unsigned flags) { return enabled ? (int)flags : NO_DEVICE; }
EXPORT int cuDriverGetVersion(int *version) { *version = 12060; return OK; }
EXPORT int cuDeviceGetCount(int *found) { *found = enabled ? GPUS : 0; return OK; }
EXPORT int cuDeviceGet(int *device, int ordinal)
{ *device = ordinal; return ordinal >= 0 && ordinal < GPUS ? OK : INVALID_DEVICE; }
EXPORT int cuDeviceGetName(char *name, int length, int device)
{ (void)device; strncpy(name, "Made-up GPU", (size_t)length); return OK; }
EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = (size_t)8 << 30; return OK; }
EXPORT int cuDeviceGetPCIBusId(char *id, int length, int device)
{ snprintf(id, length, "0000:%02X:00.0", device + 1); return OK; }
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device)
{ (void)device; *value = attribute == 75 ? 8 : attribute == 76 ? 7 : attribute == 16 ? 16 : -1; return OK; }

static int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &contexts[device]; return OK; }
static int cuCtxPushCurrent(void *context) { current[depth++] = (int)((char *)context - contexts); return OK; }
static int cuCtxPopCurrent(void **context)
{ if (!depth) return INVALID_CONTEXT; *context = &contexts[current[--depth]]; return OK; }
static int waited;
EXPORT int made_up_waited(void) { return waited; }
static int cuCtxSynchronize(void) { NEEDS_GPU; waited++; return OK; }
static int cuMemGetInfo(size_t *available, size_t *total)
{ NEEDS_GPU; *available = (size_t)6 << 30; *total = (size_t)8 << 30; return OK; }

static int cuMemAlloc(uint64_t *address, size_t size)
{ NEEDS_GPU; return take((void **)address, size, current[depth - 1]); }
static int cuMemFree(uint64_t address) { NEEDS_GPU; return give((void *)address); }
static int cuMemHostAlloc(void **address, size_t size, unsigned flags)
{ NEEDS_GPU; (void)flags; return take(address, size, -1); }
static int cuMemFreeHost(void *address) { NEEDS_GPU; return give(address); }

static int cuStreamCreate(Stream **stream, unsigned flags)
{
    NEEDS_GPU;
    if (flags != 1) return INVALID_VALUE; /* would wait for the default stream */
    *stream = calloc(1, sizeof(Stream));
    (*stream)->gpu = current[depth - 1];
    count(1);
    return OK;
}
static int cuStreamDestroy(Stream *stream) { NEEDS_GPU; free(stream->waiting.nodes); free(stream); count(-1); return OK; }
static int cuStreamSynchronize(Stream *stream)
{
    NEEDS_GPU;
    perform(&stream->waiting);
    stream->waiting.count = 0;
    return OK;
}
static int copy(Stream *stream, void *to, const void *from, size_t size, int to_host, int from_host)
{
    if (!inside(to, size, to_host ? -1 : stream->gpu) || !inside(from, size, from_host ? -1 : stream->gpu))
        return INVALID_VALUE;
    return queue(stream, (Node){.kind = COPY, .to = to, .from = from, .size = size});
}
static int cuMemcpyHtoDAsync(uint64_t to, const void *from, size_t size, Stream *stream)
{ NEEDS_GPU; return copy(stream, (void *)to, from, size, 0, 1); }
static int cuMemcpyDtoHAsync(void *to, uint64_t from, size_t size, Stream *stream)
{ NEEDS_GPU; return copy(stream, to, (void *)from, size, 1, 0); }
static int cuMemcpyDtoDAsync(uint64_t to, uint64_t from, size_t size, Stream *stream)
{ NEEDS_GPU; return copy(stream, (void *)to, (void *)from, size, 0, 0); }
EXPORT int cuLaunchHostFunc(Stream *stream, void (*call)(void *), void *data)
{ NEEDS_GPU; return queue(stream, (Node){.kind = CALL, .call = call, .data = data}); }

static int cuStreamBeginCapture(Stream *stream, int mode)
{
    NEEDS_GPU;
    if (stream->recording || mode != 1) return INVALID_VALUE;
    stream->recording = calloc(1, sizeof(Graph));
    count(1);
    return OK;
}
static int cuStreamEndCapture(Stream *stream, Graph **graph)
{
    NEEDS_GPU;
    if (!stream->recording) return INVALID_VALUE;
    *graph = stream->recording;
    stream->recording = NULL;
    return OK;
}
static int cuGraphDestroy(Graph *graph) { NEEDS_GPU; free(graph->nodes); free(graph); count(-1); return OK; }
static int cuGraphInstantiate(Graph **launchable, Graph *graph, uint64_t flags)
{
    NEEDS_GPU;
    (void)flags;
    *launchable = calloc(1, sizeof(Graph));
    for (size_t i = 0; i < graph->count; i++) append(*launchable, graph->nodes[i]);
    count(1);
    return OK;
}
static int cuGraphLaunch(Graph *launchable, Stream *stream)
{ NEEDS_GPU; return queue(stream, (Node){.kind = REPLAY, .graph = launchable}); }
static int cuGraphExecDestroy(Graph *launchable)
{ NEEDS_GPU; free(launchable->nodes); free(launchable); count(-1); return OK; }

/* How NVIDIA's bindings find functions. */
EXPORT int cuGetProcAddress_v2(const char *symbol, void **found, int version, uint64_t flags, void *status)
{
    static const struct { const char *name; void *function; } table[] = {
#define FUNCTION(name) {#name, (void *)name}
        FUNCTION(cuInit), FUNCTION(cuDriverGetVersion), FUNCTION(cuDeviceGetCount), FUNCTION(cuDeviceGet), FUNCTION(cuDeviceGetPCIBusId),
        FUNCTION(cuDevicePrimaryCtxRetain), FUNCTION(cuCtxPushCurrent), FUNCTION(cuCtxPopCurrent),
        FUNCTION(cuMemGetInfo), FUNCTION(cuCtxSynchronize), FUNCTION(cuMemAlloc), FUNCTION(cuMemFree), FUNCTION(cuMemHostAlloc),
        FUNCTION(cuMemFreeHost), FUNCTION(cuStreamCreate), FUNCTION(cuStreamDestroy), FUNCTION(cuStreamSynchronize),
        FUNCTION(cuMemcpyHtoDAsync), FUNCTION(cuMemcpyDtoHAsync), FUNCTION(cuMemcpyDtoDAsync),
        FUNCTION(cuLaunchHostFunc), FUNCTION(cuStreamBeginCapture), FUNCTION(cuStreamEndCapture),
        FUNCTION(cuGraphDestroy), {"cuGraphInstantiateWithFlags", (void *)cuGraphInstantiate},
        FUNCTION(cuGraphLaunch), FUNCTION(cuGraphExecDestroy),
    };
    (void)version; (void)flags; (void)status;
    *found = NULL;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, symbol)) *found = table[i].function;
    return *found ? OK : NOT_FOUND;
}
EXPORT int cuGetProcAddress(const char *symbol, void **found, int version, uint64_t flags)
{ return cuGetProcAddress_v2(symbol, found, version, flags, NULL); }
