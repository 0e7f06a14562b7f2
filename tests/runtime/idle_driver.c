/* What NVIDIA's TensorRT-RTX plugin and its libraries link to of the driver, beyond fake_driver.c: nothing works. */
#define FAILS(name) int name(void) { return 100; }
FAILS(cuCtxCreate_v4) FAILS(cuCtxDestroy_v2) FAILS(cuCtxGetCurrent) FAILS(cuCtxPopCurrent_v2)
FAILS(cuCtxPushCurrent_v2) FAILS(cuCtxSetCurrent) FAILS(cuDestroyExternalMemory) FAILS(cuDestroyExternalSemaphore)
FAILS(cuExternalMemoryGetMappedBuffer) FAILS(cuFuncSetAttribute) FAILS(cuGetErrorName) FAILS(cuGetErrorString)
FAILS(cuImportExternalMemory) FAILS(cuImportExternalSemaphore) FAILS(cuLaunchKernel) FAILS(cuModuleGetFunction)
FAILS(cuModuleLoadData) FAILS(cuModuleUnload) FAILS(cuSignalExternalSemaphoresAsync) FAILS(cuStreamGetCtx)
FAILS(cuWaitExternalSemaphoresAsync) FAILS(nvmlErrorString) FAILS(nvmlInit_v2) FAILS(nvmlShutdown)
FAILS(nvmlSystemGetDriverVersion)
