"""Bounds on what a checkpoint may claim. Each is far above any published file and far below what could do harm."""

MAX_FILE_BYTES = 8 << 30
"""Largest checkpoint file read. The largest published ones (1024 px, with discriminator and optimiser) have 1 GB."""

MAX_OPCODES = 2_000_000
"""Pickle instructions in one stream. A 1024 px checkpoint has about 30,000, a training state about 200,000."""

MAX_STACK = 1_000_000
"""Values waiting on the pickle machine's stack at once."""

MAX_DEPTH = 256
"""Nesting of open marks and of tuples within tuples. Official files nest about 40 deep."""

MAX_SET_ITEMS = 1024
"""Items of one set. Official files keep a module's few non-persistent buffer names in one."""

MAX_LINE_BYTES = 1024
"""Length of a text argument (only a GLOBAL's module and name are ever read as lines)."""

MAX_ATTRIBUTE = 1e30
"""Absolute value of a module's numeric attributes. Gains, clamps and multipliers stay below 1000."""

MAX_NUMBERS = 16
"""Whole numbers of one attribute that is a list: sizes have 2, paddings 4."""

MAX_NETWORKS = 16
"""Networks of a TensorFlow pickle. Official files have 3."""

MAX_COMPONENTS = 8
"""Components of a TensorFlow network. Generators have 2."""

MAX_VARIABLES = 4096
"""Variables of a TensorFlow network. A 1024 px generator has about 200."""

MAX_MODULE_DEPTH = 16
"""Nesting of network modules. Official files nest 5 deep."""

MAX_TENSOR_DIMENSIONS = 8
"""Dimensions of one tensor. Weights have at most 5."""

MAX_ARCHIVE_MEMBERS = 100_000
"""Files in a torch zip archive: one for each storage."""

MAX_HEADER_BYTES = 100_000_000
"""Length of a safetensors header: the bound that the format itself sets."""
