/* TensorRT's Python bindings over TensorRT-RTX's libraries, for building engines on a machine without a GPU.
 *
 * The PyPI wheel `tensorrt-cu13-bindings` holds only the Python bindings; they resolve nine C entry points from
 * libnvinfer.so.11, libnvinfer_plugin.so.11 and libnvonnxparser.so.11. The PyPI wheel
 * `onnxruntime-ep-nv-tensorrt-rtx-cu13` holds TensorRT-RTX's libraries, whose C++ interface is the same and whose
 * builder compiles ahead of time on the CPU. Built under each of the three names, this file forwards the entry points
 * and answers the version question with the version that is really there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *library(const char *name)
{
    void *handle = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    if (!handle) {
        fprintf(stderr, "tensorrt shim: %s\n", dlerror());
        abort();
    }
    return handle;
}
static void *core(void) { static void *h; return h ? h : (h = library("libtensorrt_rtx.so.1")); }
static void *parser(void) { static void *h; return h ? h : (core(), h = library("libtensorrt_onnxparser_rtx.so.1")); }
static int core_version(void) { return ((int (*)(void))dlsym(core(), "getInferLibVersion"))(); }

int getNvOnnxParserVersion(void) { return ((int (*)(void))dlsym(parser(), "getNvOnnxParserVersion"))(); }

typedef void *(*Create1)(void *, int);
typedef void *(*Create2)(void *, void *, int);

void *createInferBuilder_INTERNAL(void *logger, int version)
{ (void)version; return ((Create1)dlsym(core(), "createInferBuilder_INTERNAL"))(logger, core_version()); }
void *createInferRuntime_INTERNAL(void *logger, int version)
{ (void)version; return ((Create1)dlsym(core(), "createInferRuntime_INTERNAL"))(logger, core_version()); }
void *createInferRefitter_INTERNAL(void *engine, void *logger, int version)
{ (void)version; return ((Create2)dlsym(core(), "createInferRefitter_INTERNAL"))(engine, logger, core_version()); }
void *createNvOnnxParser_INTERNAL(void *network, void *logger, int version)
{
    (void)version;
    Create2 create = (Create2)dlsym(parser(), "createNvOnnxParser_INTERNAL");
    return create(network, logger, getNvOnnxParserVersion());
}
void *createNvOnnxParserRefitter_INTERNAL(void *refitter, void *logger, int version)
{
    (void)version;
    Create2 create = (Create2)dlsym(parser(), "createNvOnnxParserRefitter_INTERNAL");
    return create(refitter, logger, getNvOnnxParserVersion());
}
void *getPluginRegistry(void) { return ((void *(*)(void))dlsym(core(), "getPluginRegistry"))(); }
void *getBuilderPluginRegistry(int capability)
{ return ((void *(*)(int))dlsym(core(), "getBuilderPluginRegistry"))(capability); }
int initLibNvInferPlugins(void *logger, const char *name_space) { (void)logger; (void)name_space; return 1; }
