// V8 by itself lets garbage fill several times the memory of what is alive, as if it had the machine to itself. What is
// collected earlier costs little time, on other threads. The other half, `--max-semi-space-size`, is heard on the command line only.
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--heap-growing-percent=30');
