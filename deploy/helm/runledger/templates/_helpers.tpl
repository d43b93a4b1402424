{{- define "runledger.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "runledger.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "runledger.labels" -}}
{{ include "runledger.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{- define "runledger.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "runledger.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The image of one role: (dict "root" $ "tag" "1.2.3"), where an empty tag is that of all. */}}
{{- define "runledger.image" -}}
{{ .root.Values.image.repository }}:{{ .tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{- define "runledger.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "runledger.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The variables of one role: (dict "root" $ "role" "api"). */}}
{{- define "runledger.env" -}}
{{- $secret := required "existingSecret: the name of a secret with the servers' URLs and the signing key" .root.Values.existingSecret -}}
- name: RUNLEDGER_ROLES
  value: {{ .role }}
- name: RUNLEDGER_PUBLIC_URL
  value: {{ required "publicUrl: how clients reach the service" .root.Values.publicUrl | quote }}
- name: RUNLEDGER_LOG_LEVEL
  value: {{ .root.Values.logLevel | quote }}
- name: RUNLEDGER_NATS_REPLICAS
  value: {{ .root.Values.natsReplicas | toString | quote }}
- name: RUNLEDGER_BODY_LIMIT_BYTES
  value: {{ .root.Values.bodyLimitBytes | int64 | toString | quote }}
{{- with .root.Values.root }}
- name: RUNLEDGER_ROOT
  value: {{ . | quote }}
{{- end }}
{{- with .root.Values.webhookAllowCidrs }}
- name: WEBHOOK_ALLOW_CIDRS
  value: {{ . | quote }}
{{- end }}
{{- if eq .role "worker" }}
- name: RUNLEDGER_WORKER_CONCURRENCY
  value: {{ .root.Values.roles.worker.concurrency | toString | quote }}
- name: DEPLOY_BUILD_BASE_DIR
  value: /builds
{{- end }}
{{- if .root.Values.ca.existingSecret }}
- name: NODE_EXTRA_CA_CERTS
  value: /etc/runledger/ca/{{ .root.Values.ca.key }}
{{- end }}
{{- range $name := list "EVENTSTORE_URL" "MONGODB_URL" "NATS_URL" "S3_URL" "RUNLEDGER_SIGNING_KEY" }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: { name: {{ $secret }}, key: {{ $name }} }
{{- end }}
{{- range $name := list "RUNLEDGER_TOKENS" "WEBHOOK_SECRET" "WEBHOOK_URL" "WORKSPACE_TIER_UPDATE_SECRET" }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: { name: {{ $secret }}, key: {{ $name }}, optional: true }
{{- end }}
{{- range $name, $value := .root.Values.env }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}
