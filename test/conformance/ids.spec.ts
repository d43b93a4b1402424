import { SystemIds } from '../../src/adapters/system/system-ids.js';
import { CountingIds } from '../support/test-ids.js';
import { describeIds } from './ids.suite.js';

describeIds('system', () => new SystemIds());
describeIds('counting', () => new CountingIds());
