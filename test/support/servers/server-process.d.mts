/** What the server scripts give; they are plain JavaScript so that other scripts can run them as they stand. */
export interface TestServer {
  readonly url: string;
  readonly port: number;
  readonly folder: string;
  readonly pid: number | undefined;
  /** Starts it again after `stop` or `kill`, with the same port and content. */
  start(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
  freeze(): void;
  thaw(): void;
  /** Ends it and removes its folder. */
  close(): Promise<void>;
}
