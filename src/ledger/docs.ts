import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';

/** OpenAPI of everything that is served. */
export function describeApi(nest: NestFastifyApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Runledger')
    .setDescription('The ledger and the engine of runs, behind the APIs of the systems that it serves.')
    .setVersion('0.1.0')
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
