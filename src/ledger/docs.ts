import { Controller, Get } from '@nestjs/common';
import { ApiExcludeController, DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Kernel } from '../kernel/kernel.js';
import { version } from '../version.js';
import { describeEvents } from './events/asyncapi.js';

/** OpenAPI of everything that is served. */
export function describeApi(nest: NestFastifyApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Runledger')
    .setDescription('The ledger and the engine of runs, behind the APIs of the systems that it serves.')
    .setVersion(version)
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'A token of `RUNLEDGER_TOKENS`' })
    .build();
  return SwaggerModule.createDocument(nest, config);
}

/** Serves it under `/docs`, for people and as `/docs/openapi.json`. */
export function configureDocs(nest: NestFastifyApplication): void {
  SwaggerModule.setup('docs', nest, () => describeApi(nest), {
    jsonDocumentUrl: 'docs/openapi.json',
    yamlDocumentUrl: 'docs/openapi.yaml',
    customSiteTitle: 'Runledger API',
  });
}

/** What is published, for those who subscribe. Open to all like the rest of `/docs`: it tells of no event. */
@Controller('docs/asyncapi')
@ApiExcludeController()
export class AsyncApiController {
  private readonly document: object;

  constructor(kernel: Kernel) {
    this.document = describeEvents(kernel.systems);
  }

  @Get()
  asyncApi(): object {
    return this.document;
  }
}
