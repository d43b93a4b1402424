import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Every figure the service tells Prometheus. Names end in their unit; labels never hold ids or secrets. */
export class Metrics {
  readonly registry = new Registry();
  private readonly collectors: (() => Promise<void>)[] = [];

  readonly commands = this.histogram('runledger_command_duration_seconds', 'Time to carry out a command', [
    'command',
    'outcome',
  ]);
  readonly appended = this.counter('runledger_events_appended_total', 'Events appended to the log', ['system']);
  readonly conflicts = this.counter('runledger_append_conflicts_total', 'Appends decided anew after a conflict', []);
  readonly viewLag = this.gauge('runledger_view_lag_events', 'Positions between a view and the head of the log', [
    'view',
  ]);
  readonly viewStopped = this.gauge('runledger_view_stopped', '1 while a poison event keeps the view stopped', [
    'view',
  ]);
  readonly queueDepth = this.gauge('runledger_queue_jobs', 'Jobs on the work queue', ['kind', 'state']);
  readonly jobs = this.histogram('runledger_job_duration_seconds', 'Time a worker spent on a job', ['kind', 'outcome']);
  readonly unreadable = this.counter(
    'runledger_unreadable_events_total',
    'Events that an effect passed over because it could not read them',
    ['effect'],
  );
  readonly deliveries = this.counter('runledger_webhook_attempts_total', 'Attempts to deliver a webhook', [
    'endpoint',
    'outcome',
  ]);
  readonly deliveriesPending = this.gauge('runledger_webhook_pending', 'Deliveries that wait or run', ['endpoint']);
  readonly http = this.histogram('runledger_http_request_duration_seconds', 'Time to answer a request', [
    'method',
    'route',
    'status',
  ]);

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Called before every scrape. A collector that fails fails the scrape: figures that are wrong would be worse. */
  onCollect(collector: () => Promise<void>): void {
    this.collectors.push(collector);
  }

  /** Everything in the text format of Prometheus. */
  async scrape(): Promise<{ readonly contentType: string; readonly body: string }> {
    for (const collect of this.collectors) await collect();
    return { contentType: this.registry.contentType, body: await this.registry.metrics() };
  }

  private counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  private gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Gauge<Label> {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  private histogram<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Histogram<Label> {
    return new Histogram({ name, help, labelNames: [...labelNames], buckets: SECONDS, registers: [this.registry] });
  }
}
