import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** What a data folder may keep the log and the views in. */
const FILES = ['runledger.db', 'views.db'];

/** Opens the file of a data folder that holds its views, behind the back of the service. Close it. */
export function openViewsFile(dataDir: string): DatabaseSync {
  const file = FILES.map((name) => join(dataDir, name)).findLast(existsSync);
  if (file === undefined) throw new Error(`${dataDir} is no data folder`);
  return new DatabaseSync(file, { timeout: 5_000 });
}

/** The table of the newest collection of a view, as it stands in SQL. */
export function tableOf(file: DatabaseSync, view: string): string {
  const names = file
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, ?) = ? ORDER BY name")
    .all(`view:${view}.v`.length, `view:${view}.v`)
    .map(({ name }) => String(name));
  const last = names.at(-1);
  if (last === undefined) throw new Error(`Nothing is stored of ${view}`);
  return `"${last}"`;
}

/** Copies what a data folder stores, also while a service runs on it. */
export function copyStored(dataDir: string, to: string): void {
  for (const name of FILES) {
    if (!existsSync(join(dataDir, name))) continue;
    const file = new DatabaseSync(join(dataDir, name), { timeout: 5_000 });
    file.exec(`VACUUM INTO '${join(to, name)}'`);
    file.close();
  }
}
