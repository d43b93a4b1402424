/** The same Nest on the same Fastify, with one route that answers a constant: what HTTP costs before we do anything. */
import 'reflect-metadata';
import { Body, Controller, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { answerParent, isEntry } from './processes.mjs';

class ConstantController {
  create() {
    return { run_id: 'req-constant' };
  }
}
Controller('hypershift/runs')(ConstantController);
Post()(ConstantController.prototype, 'create', Object.getOwnPropertyDescriptor(ConstantController.prototype, 'create'));
Body()(ConstantController.prototype, 'create', 0);

class ConstantModule {}
Module({ controllers: [ConstantController] })(ConstantModule);

let nest;

async function start() {
  nest = await NestFactory.create(ConstantModule, new FastifyAdapter({ logger: false }), { logger: false });
  await nest.listen(0, '127.0.0.1');
  return `http://127.0.0.1:${nest.getHttpServer().address().port}`;
}

if (isEntry(import.meta.url)) answerParent({ start, stop: () => nest?.close() });
