/** One address for several servers of this machine: connections go to each in turn, and past those that are not there. */
export class Balancer {
  private constructor();
  static open(ports: readonly number[], port?: number): Promise<Balancer>;
  readonly url: string;
  close(): Promise<void>;
}
