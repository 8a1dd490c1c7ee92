{{- define "ichnode.selector" -}}
app.kubernetes.io/name: ichnode
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ichnode.labels" -}}
{{ include "ichnode.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ichnode.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "ichnode.pool.selector" -}}
app.kubernetes.io/name: ichnode-pool
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ichnode.pool.labels" -}}
{{ include "ichnode.pool.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ichnode.pool.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "ichnode.pool.container" -}}
image: {{ include "ichnode.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: ["ray"]
env:
  - {name: RAY_AUTH_MODE, value: token}
  - {name: RAY_AUTH_TOKEN_PATH, value: /etc/ichnode-pool/token}
  - {name: RAY_USAGE_STATS_ENABLED, value: "0"}
  - {name: HOME, value: /tmp}
  - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: shared-memory, mountPath: /dev/shm}
  - {name: pool-token, mountPath: /etc/ichnode-pool, readOnly: true}
{{- end }}

{{- define "ichnode.pool.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 4Gi}
- name: shared-memory
  emptyDir: {medium: Memory, sizeLimit: 2Gi}
- name: pool-token
  secret:
    secretName: {{ .Values.pool.tokenSecret }}
    defaultMode: 0440
{{- end }}
