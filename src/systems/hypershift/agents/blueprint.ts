import type { JsonObject } from '../../../kernel/ports/view-store.js';
import { isJsonObject } from './json.js';
import { StepFailed } from './step-agent.js';

/** A deployable part (in `appPlan`) or a service that it needs (in `infra`). */
export interface Component {
  readonly id: string;
  readonly type: string;
  readonly config: JsonObject;
}

export interface App extends Component {
  readonly name: string;
}

/** What the built-in architect answers. */
export interface Blueprint {
  readonly version: '1.0';
  readonly appPlan: readonly App[];
  readonly infra: readonly Component[];
}

/** More would not fit into one event of the log. */
const MAX_COMPONENTS = 1_000;

/**
 * The components of any architect's blueprint. What is missing becomes empty; elements that are no objects are left
 * out; a component without an id is named after its place in the list.
 *
 * @throws StepFailed when a list holds more than 1,000 elements.
 */
export function componentsOf(blueprint: unknown): {
  readonly appPlan: readonly Component[];
  readonly infra: readonly Component[];
} {
  const lists = isJsonObject(blueprint) ? blueprint : {};
  return { appPlan: components(lists.appPlan, 'app'), infra: components(lists.infra, 'infra') };
}

function components(list: unknown, fallbackName: string): readonly Component[] {
  if (!Array.isArray(list)) return [];
  if (list.length > MAX_COMPONENTS) throw new StepFailed(`Blueprint has more than ${MAX_COMPONENTS} components`);
  return list.flatMap((item: unknown, index) => {
    if (!isJsonObject(item)) return [];
    return {
      id: nonEmpty(item.id) ?? nonEmpty(item.name) ?? `${fallbackName}-${index + 1}`,
      type: nonEmpty(item.type) ?? 'unknown',
      config: isJsonObject(item.config) ? item.config : {},
    };
  });
}

const nonEmpty = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;
