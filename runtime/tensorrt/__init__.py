"""TensorRT itself, of any version: imported, listened to, refitted. `runtime.backends.tensorrt` runs its engines."""
