import type { SystemDefinition } from './kernel/system.js';
import { hypershift } from './systems/hypershift/hypershift.definition.js';

/** Every system that is served, and whose history can be read. */
export const systems: readonly SystemDefinition[] = [hypershift];
