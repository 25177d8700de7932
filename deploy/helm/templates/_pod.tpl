{{- define "sendlens.name" -}}
{{ if contains "sendlens" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-sendlens" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* What says which pods are meant; (list $ "ingest"). */}}
{{- define "sendlens.selector" -}}
app.kubernetes.io/name: sendlens
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "sendlens.labels" -}}
{{ include "sendlens.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{/* What every pod says before its containers. */}}
{{- define "sendlens.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every process is told: what the chart decides, then what `settings` says. The folder is one on the volume, whose top
     is root's. */}}
{{- define "sendlens.settings" -}}
{{- $known := dict
  "SENDLENS_MODE" "cluster"
  "SENDLENS_LOG_FORMAT" "json"
  "SENDLENS_DATA_DIR" "/var/lib/sendlens/data"
  "SENDLENS_KAFKA" .Values.kafka.servers
  "SENDLENS_REPLICATION" (.Values.kafka.replication | int64 | toString)
  "SENDLENS_PARTITIONS" (.Values.partitions | int64 | toString)
  "SENDLENS_CLICKHOUSE_URL" .Values.clickhouse.url
  "SENDLENS_CLICKHOUSE_USER" .Values.clickhouse.user
  "SENDLENS_CLICKHOUSE_DATABASE" .Values.clickhouse.database
  "SENDLENS_PUBLIC_URL" .Values.publicUrl
  "SENDLENS_ENVELOPE_DOMAIN" .Values.envelopeDomain
  "SENDLENS_INGEST_HOST" "0.0.0.0"
  "SENDLENS_INGEST_PORT" "8080"
  "SENDLENS_METRICS_HOST" "0.0.0.0"
  "SENDLENS_WORKER_METRICS_PORT" "9100"
  "SENDLENS_INBOX_METRICS_PORT" "9101"
}}
{{- with .Values.grafana.url }}{{ $_ := set $known "SENDLENS_GRAFANA_URL" . }}{{ end }}
{{- with .Values.grafana.clickhouseUrl }}{{ $_ := set $known "SENDLENS_GRAFANA_CLICKHOUSE_URL" . }}{{ end }}
{{- if .Values.sendersSecret }}{{ $_ := set $known "SENDLENS_SENDERS" "/etc/sendlens/senders.toml" }}{{ end }}
{{- toYaml (merge dict .Values.settings $known) }}
{{- end }}

{{/* What every container says beside its name, arguments, ports and probes; (list $ RESOURCES). */}}
{{- define "sendlens.container" -}}
{{- $ := index . 0 -}}
image: "{{ $.Values.image.repository }}:{{ $.Values.image.tag | default $.Chart.AppVersion }}"
imagePullPolicy: {{ $.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources: {{- toYaml (index . 1) | nindent 2 }}
envFrom:
  - secretRef: {name: {{ $.Values.secret }}}
env:
  {{- range $name, $value := fromYaml (include "sendlens.settings" $) }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
  {{- end }}
volumeMounts:
  - {name: data, mountPath: /var/lib/sendlens}
  - {name: tmp, mountPath: /tmp}
  {{- if $.Values.sendersSecret }}
  - {name: senders, mountPath: /etc/sendlens, readOnly: true}
  {{- end }}
{{- end }}

{{/* The volumes of every pod, but that of its data. */}}
{{- define "sendlens.volumes" -}}
- {name: tmp, emptyDir: {}}
{{- with .Values.sendersSecret }}
- {name: senders, secret: {secretName: {{ . }}}}
{{- end }}
{{- end }}

{{/* A volume of each pod's own, kept when the pod or the release goes; (list $ STORAGE "ingest"). */}}
{{- define "sendlens.claim" -}}
persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
volumeClaimTemplates:
  - metadata:
      name: data
      labels: {{- include "sendlens.selector" (list (index . 0) (index . 2)) | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with (index . 1).className }}
      storageClassName: {{ . }}
      {{- end }}
      resources: {requests: {storage: {{ (index . 1).size }}}}
{{- end }}

{{/* A command that runs once beside a release; (list $ NAME WHEN RESOURCES ARGUMENTS). */}}
{{- define "sendlens.job" -}}
{{- $ := index . 0 -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "sendlens.name" $ }}-{{ index . 1 }}
  labels: {{- include "sendlens.labels" (list $ (index . 1)) | nindent 4 }}
  annotations:
    helm.sh/hook: {{ index . 2 }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 3
  activeDeadlineSeconds: 3600
  template:
    metadata:
      labels: {{- include "sendlens.labels" (list $ (index . 1)) | nindent 8 }}
    spec:
      restartPolicy: Never
      {{- include "sendlens.pod" $ | nindent 6 }}
      containers:
        - name: {{ index . 1 }}
          args: {{ toJson (index . 4) }}
          {{- include "sendlens.container" (list $ (index . 3)) | nindent 10 }}
      volumes:
        - {name: data, emptyDir: {}}
        {{- include "sendlens.volumes" $ | nindent 8 }}
{{- end }}
