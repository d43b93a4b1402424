import { EventBus, type BusEvent, type BusSubscription } from '../../kernel/ports/event-bus.js';
export class InProcessEventBus extends EventBus {
  constructor(_options: unknown) {
    super();
  }
  override async publish(_events: readonly BusEvent[]): Promise<void> {}
  override async subscribe(): Promise<BusSubscription> {
    return { stop: async () => undefined };
  }
  override async close(): Promise<void> {}
}
