import {
  Module,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { Kernel } from './kernel/kernel.js';
import { LedgerModule } from './ledger/ledger.module.js';
import { OperationsController } from './ledger/operations.controller.js';

@Module({})
class KernelModule {
  static forRoot(kernel: Kernel): DynamicModule {
    return {
      module: KernelModule,
      global: true,
      providers: [{ provide: Kernel, useValue: kernel }],
      exports: [Kernel],
    };
  }
}

/** The whole service: the kernel, its own routes, and the systems. */
@Module({})
export class AppModule implements OnApplicationBootstrap, BeforeApplicationShutdown {
  static forRoot(kernel: Kernel, systems: readonly DynamicModule[]): DynamicModule {
    return {
      module: AppModule,
      imports: [KernelModule.forRoot(kernel), LedgerModule, ...systems],
      controllers: [OperationsController],
    };
  }

  constructor(private readonly kernel: Kernel) {}

  /** Work begins when every system has said what it brings. */
  async onApplicationBootstrap(): Promise<void> {
    await this.kernel.runtime.start();
  }

  /** Running steps may need the server (a deployment is checked through it), so they end before it closes. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.kernel.runtime.stopWorkers();
  }
}
